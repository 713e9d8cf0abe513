//! Readers that ask for much and take nothing.

use otto_handler::proto::ottoscaler::WorkerLogEntry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{FLAGS, check_peak, honest_p99};
use crate::support::{Process, Producer, Reader, connect, entry, get, within};

/// What a reader has of its own: a piece, its connection and its state.
const READER_KIB: u64 = 32 + 32;

/// More than sockets' buffers take.
const LINES: usize = 5000;

/// Lines of noise of about a kilobyte, which do not compress.
fn noise(task: &str, lines: usize) -> Vec<WorkerLogEntry> {
    let line = |_| (0..1000).map(|_| fastrand::alphanumeric()).collect::<String>();
    (0..lines).map(line).map(|line| entry(task, &line)).collect()
}

async fn push(server: &Process, entries: Vec<WorkerLogEntry>) {
    let mut producer = Producer::open_with(&mut connect(&server.grpc_url()).await, |request| {
        request.metadata_mut().insert("otto-ack-mode", "cumulative".parse().unwrap());
    })
    .await;
    let sending = producer.sender();
    let sender = tokio::spawn(async move {
        for entry in entries {
            sending.send(entry).await.unwrap();
        }
    });
    producer.half_close();
    while within("an ack", producer.responses.message()).await.unwrap().is_some() {}
    sender.await.unwrap();
}

/// Asks for `path`, reads the first bytes of the response and then nothing.
async fn stopped(server: &Process, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&server.http).await.unwrap();
    let head = format!("GET /api/v1/log-streaming{path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    within("the response", stream.read_exact(&mut [0; 64])).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_downloads_and_pages_stay_within_the_budget_and_a_good_one_gets_all() {
    const READERS: usize = 120;
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start(&dir.path().join("data"), &FLAGS, None).await;
    push(&server, noise("big", LINES)).await;
    push(&server, vec![entry("large", &"\u{7}".repeat(1_000_000)); 4]).await;
    let paths = [
        "/tasks/big/logs?format=text",
        "/tasks/big/logs?format=ndjson",
        "/tasks/big/logs?limit=10000",
        "/tasks/big/logs?tail=10000",
    ];
    let mut readers = Vec::new();
    for reader in 0..READERS {
        readers.push(stopped(&server, paths[reader % paths.len()]).await);
    }
    readers.push(stopped(&server, "/tasks/large/logs?format=ndjson").await);
    let text = get(&server.api("/tasks/big/logs?format=text"), None).await.bytes();
    assert_eq!(within("a good download", text).await.unwrap().len(), LINES * 1001);
    let page = get(&server.api("/tasks/big/logs?tail=10000"), None).await.bytes();
    let page: serde_json::Value =
        serde_json::from_slice(&within("a good page", page).await.unwrap()).unwrap();
    assert_eq!(page["lastLine"], LINES);
    let p99 = honest_p99(&server, 100).await;
    println!("downloads: an honest line is acknowledged within {p99:?}");
    check_peak("downloads", &server, READERS, READER_KIB);
    server.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_viewers_at_different_places_stay_within_the_budget_and_a_good_one_sees_all() {
    const VIEWERS: usize = 300;
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start(&dir.path().join("data"), &FLAGS, None).await;
    push(&server, noise("big", LINES)).await;
    let mut viewers = Vec::new();
    for viewer in 0..VIEWERS {
        // Each at a place of its own, so that they share nothing.
        let tail = LINES - 15 * viewer;
        viewers.push(stopped(&server, &format!("/stream/big?tail={tail}")).await);
    }
    let mut good = Reader::open(&server.api("/stream/big")).await;
    assert_eq!(within("every line", good.logs(LINES)).await.len(), LINES);
    let p99 = honest_p99(&server, 100).await;
    println!("viewers: an honest line is acknowledged within {p99:?}");
    check_peak("viewers", &server, VIEWERS, READER_KIB);
    server.kill().await;
}
