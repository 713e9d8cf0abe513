//! A signal ends the server in about two seconds, whatever its clients do.

use std::any::Any;
use std::time::{Duration, Instant};

use otto_handler::proto::ottoscaler::otto_handler_log_service_client::OttoHandlerLogServiceClient;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;

use super::{get_request, silent};
use crate::support::{Process, Producer, connect, entry, json, text, within};

/// Far below the drain timeout of 25 s, far above the two seconds that it takes.
const SOON: Duration = Duration::from_secs(10);

/// What a client leaves behind.
type Left = Vec<Box<dyn Any>>;

async fn start() -> (TempDir, Process) {
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start(&dir.path().join("data"), &[], None).await;
    (dir, server)
}

/// Fails where `signal` does not end `server` well and soon.
async fn ends_soon(server: Process, signal: &str, left: Left) {
    let began = Instant::now();
    server.signal(signal).await;
    assert_eq!(server.exit_code().await, Some(0));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    drop(left);
}

/// Pushes `lines` lines of 1,000 bytes.
async fn push_lines(server: &Process, lines: usize) {
    let mut producer = Producer::open_with(&mut connect(&server.grpc_url()).await, |request| {
        request.metadata_mut().insert("otto-ack-mode", "cumulative".parse().unwrap());
    })
    .await;
    let sending = producer.sender();
    let sender = tokio::spawn(async move {
        for _ in 0..lines {
            sending.send(entry("big", &"x".repeat(1000))).await.unwrap();
        }
    });
    producer.half_close();
    while producer.responses.message().await.unwrap().is_some() {}
    sender.await.unwrap();
}

#[tokio::test]
async fn silent_and_half_open_connections_do_not_hold_the_end_up() {
    let (_dir, server) = start().await;
    let left: Left = vec![
        Box::new(silent(&server.grpc, b"").await),
        Box::new(silent(&server.grpc, b"PRI * HTTP/2.0\r\n").await),
        Box::new(silent(&server.http, b"").await),
        Box::new(silent(&server.http, b"GET /readyz HTTP/1.1\r\nHo").await),
    ];
    ends_soon(server, "TERM", left).await;
}

#[tokio::test]
async fn an_open_health_watch_and_a_reflection_stream_do_not_hold_the_end_up() {
    let (_dir, server) = start().await;
    let channel = Endpoint::from_shared(server.grpc_url()).unwrap().connect().await.unwrap();
    let watch = HealthClient::new(channel.clone()).watch(HealthCheckRequest::default()).await;
    let mut watch = watch.unwrap().into_inner();
    assert!(watch.message().await.unwrap().is_some());
    let mut reflection = ServerReflectionClient::new(channel);
    let reflection = reflection.server_reflection_info(tokio_stream::pending()).await.unwrap();
    ends_soon(server, "TERM", vec![Box::new(watch), Box::new(reflection)]).await;
}

#[tokio::test]
async fn stopped_viewers_and_slow_downloads_do_not_hold_the_end_up() {
    let (_dir, server) = start().await;
    push_lines(&server, 20_000).await;
    let mut left = Left::new();
    for path in ["/stream/big", "/tasks/big/logs?format=text"] {
        let mut stream = silent(&server.http, &get_request(path)).await;
        stream.read_exact(&mut [0; 1000]).await.unwrap();
        left.push(Box::new(stream));
    }
    ends_soon(server, "TERM", left).await;
}

#[tokio::test]
async fn a_producer_that_reads_no_acks_does_not_hold_the_end_up_and_what_arrived_is_kept() {
    let (dir, server) = start().await;
    let endpoint = Endpoint::from_shared(server.grpc_url()).unwrap();
    let channel = endpoint.initial_stream_window_size(1024).connect().await.unwrap();
    let producer = Producer::open(&mut OttoHandlerLogServiceClient::new(channel)).await;
    // More than the acks' window and the entries' window together let through.
    let sending = producer.sender();
    let sender =
        tokio::spawn(async move { while sending.send(entry("t", "line")).await.is_ok() {} });
    within("some lines", async {
        let url = server.api("/health");
        while json(&url).await["pushed"]["kept"].as_u64().unwrap() < 100 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    ends_soon(server, "TERM", vec![Box::new(producer)]).await;
    sender.await.unwrap();
    let again = Process::start(&dir.path().join("data"), &[], None).await;
    assert!(text(|path| again.api(path), "t").await.lines().count() >= 100);
}

#[tokio::test]
async fn sighup_drains() {
    let (_dir, server) = start().await;
    let mut producer = Producer::open(&mut connect(&server.grpc_url()).await).await;
    producer.push_all(1, vec![entry("t", "line")]).await;
    server.signal("HUP").await;
    let ended = within("the stream's end", producer.responses.message()).await.unwrap_err();
    assert_eq!(ended.message(), "the server is shutting down, connect again");
    assert_eq!(server.exit_code().await, Some(0));
}

#[tokio::test]
async fn sighup_is_ignored_by_a_server_that_was_started_to_survive_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start_after("trap '' HUP", &dir.path().join("data"), &[]).await;
    server.signal("HUP").await;
    let mut producer = Producer::open(&mut connect(&server.grpc_url()).await).await;
    producer.push_all(1, vec![entry("t", "line")]).await;
    assert_eq!(server.terminate().await, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_the_server_at_once() {
    let (_dir, server) = start().await;
    let mut producer = Producer::open(&mut connect(&server.grpc_url()).await).await;
    producer.push_all(1, vec![entry("t", "line")]).await;
    let _silent = silent(&server.grpc, b"").await;
    server.signal("TERM").await;
    // The drain has begun, and the silent connection holds it up.
    within("the stream's end", producer.responses.message()).await.unwrap_err();
    server.signal("INT").await;
    assert_eq!(server.exit_code().await, Some(1));
}
