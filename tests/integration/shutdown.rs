//! SIGTERM loses nothing: what arrived is kept and acknowledged, and every client is told why.

use std::sync::Arc;
use std::time::Instant;

use otto_handler::store::faults::FaultyDisk;
use tonic::Code;

use crate::support::{
    Process, Producer, Reader, TestServer, connect, entry, numbered, text, within,
};

#[tokio::test]
async fn sigterm_answers_what_arrived_and_sends_producers_and_viewers_away() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Process::start(&data, &[], None).await;
    let mut producer = Producer::open(&mut connect(&server.grpc_url()).await).await;
    let mut reader = Reader::open(&server.api("/stream/t")).await;
    producer.push_all(1, numbered("t", 10)).await;
    assert_eq!(reader.logs(10).await.len(), 10);
    assert_eq!(server.terminate().await, Some(0));

    let ended = within("the stream's end", producer.responses.message()).await.unwrap_err();
    assert_eq!(ended.code(), Code::Unavailable);
    assert_eq!(ended.message(), "the server is shutting down, connect again");
    let error = reader.event().await;
    assert_eq!(error.event, "error");
    assert!(error.data.contains("\"code\":\"draining\""), "{}", error.data);
    assert_eq!(reader.next().await, None);

    let again = Process::start(&data, &[], None).await;
    assert_eq!(text(|path| again.api(path), "t").await.lines().count(), 10);
}

#[tokio::test]
async fn sigterm_right_after_the_addresses_are_printed_is_a_clean_end() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..10 {
        let data = dir.path().join(round.to_string());
        let server = Process::start(&data, &[], None).await;
        assert_eq!(server.terminate().await, Some(0), "round {round}");
    }
}

#[tokio::test]
async fn producers_and_the_store_share_one_drain_timeout() {
    let disk = FaultyDisk::default();
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--drain-timeout=2s"];
    let server =
        TestServer::start_in(dir, &flags, |options| options.disk = Arc::new(disk.clone())).await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    producer.push_all(1, vec![entry("t", "kept")]).await;
    disk.hold();
    producer.send(entry("t", "never written")).await;
    let began = Instant::now();
    let (_dir, stopping) = server.begin_stop();
    let error = within("the shutdown", stopping).await.unwrap().unwrap_err();
    let took = began.elapsed();
    disk.release();
    let expected = "not everything received was kept and answered within the drain timeout of 2s";
    assert_eq!(error.to_string(), expected);
    // Twice the timeout where each had its own.
    assert!((2000..3500).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test]
async fn a_shutdown_in_the_middle_of_a_push_keeps_every_entry_that_it_acknowledged() {
    let server = TestServer::start().await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    let sending = producer.sender();
    let sender = tokio::spawn(async move {
        for entry in numbered("t", 100_000) {
            if sending.send(entry).await.is_err() {
                return;
            }
        }
    });
    for _ in 0..1000 {
        producer.response().await;
    }
    let (dir, stopping) = server.begin_stop();
    let mut acknowledged = 1000;
    let ended = loop {
        match producer.responses.message().await {
            Ok(Some(response)) => acknowledged = response.sequence,
            Ok(None) => panic!("ended without a status"),
            Err(status) => break status,
        }
    };
    assert_eq!(ended.code(), Code::Unavailable);
    drop(producer);
    within("the shutdown", stopping).await.unwrap().unwrap();
    sender.await.unwrap();
    let again = TestServer::start_in(dir, &[], |_| {}).await;
    let kept = text(|path| again.api(path), "t").await.lines().count();
    assert!(kept as i64 >= acknowledged, "{kept} kept, {acknowledged} acknowledged");
}
