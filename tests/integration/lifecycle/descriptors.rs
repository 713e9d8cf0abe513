//! Few file descriptors: connections are refused before the store has none.

use serde_json::Value;
use tokio::io::AsyncReadExt;

use super::silent;
use crate::support::{Process, Producer, connect, entry, get, json, within};

async fn health(server: &Process) -> Value {
    json(&server.api("/health")).await
}

async fn is_ready(server: &Process) -> bool {
    let url = format!("http://{}/readyz", server.http);
    get(&url, None).await.status().is_success()
}

#[tokio::test]
async fn with_few_descriptors_connections_are_refused_and_the_store_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--segment-bytes=1MiB", "--threads=2"];
    let server = Process::start_after("ulimit -n 128", &dir.path().join("data"), &flags).await;
    let mut producer = Producer::open(&mut connect(&server.grpc_url()).await).await;
    let mut connections = Vec::new();
    for _ in 0..200 {
        connections.push(silent(&server.grpc, b"").await);
    }
    let refused = connections.last_mut().unwrap();
    assert_eq!(within("the refusal", refused.read(&mut [0; 100])).await.unwrap_or(0), 0);

    // Several segments are begun meanwhile.
    let mut random = fastrand::Rng::with_seed(1);
    let mut line = || (0..100_000).map(|_| random.alphanumeric()).collect::<String>();
    producer.push_all(1, (0..100).map(|_| entry("t", &line())).collect()).await;
    assert!(is_ready(&server).await);
    let stats = health(&server).await;
    assert!(stats["store"]["segments"].as_u64().unwrap() >= 5, "{stats}");
    assert!(stats["connections"]["refused"].as_u64().unwrap() > 0, "{stats}");

    drop(connections);
    within("room for new connections", async {
        while health(&server).await["connections"]["open"].as_u64().unwrap() > 5 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut again = Producer::open(&mut connect(&server.grpc_url()).await).await;
    again.push_all(1, vec![entry("t", "after")]).await;
    assert!(is_ready(&server).await);
    drop((producer, again));
    assert_eq!(server.terminate().await, Some(0));
}

#[tokio::test]
async fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    let dir = tempfile::tempdir().unwrap();
    let before = "ulimit -Sn 64; ulimit -Hn 1024";
    let server = Process::start_after(before, &dir.path().join("data"), &["--threads=2"]).await;
    let stats = health(&server).await;
    assert!(stats["connections"]["limit"].as_u64().unwrap() > 500, "{stats}");
    assert_eq!(server.terminate().await, Some(0));
}
