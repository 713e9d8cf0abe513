//! A store that cannot keep up holds producers back; it costs no line and no connection.

use std::sync::Arc;
use std::time::Duration;

use otto_handler::proto::ottoscaler::WorkerLogEntry;
use otto_handler::store::faults::FaultyDisk;

use crate::support::{Producer, TestServer, ack, connect, text};

/// How long the disk is held up.
const HOLD: Duration = Duration::from_secs(10);

/// Entries per stream; far more than windows, queues and batches can hold.
const ENTRIES: usize = 3000;

/// Blank and very short lines in turn: they make the smallest DATA frames, which is where
/// HTTP/2 stacks lose patience with a peer that does not read.
fn short_line(task: &str, turn: usize) -> WorkerLogEntry {
    let message = if turn.is_multiple_of(2) { String::new() } else { (turn % 10).to_string() };
    WorkerLogEntry { worker_id: "w".into(), task_id: task.into(), message, ..Default::default() }
}

/// Pushes all of a stream's lines, with every response checked.
async fn push(mut producer: Producer, task: String) {
    let sending = producer.sender();
    let lines = (0..ENTRIES).map(move |turn| short_line(&task, turn));
    let sender = tokio::spawn(async move {
        for line in lines {
            sending.send(line).await.unwrap();
        }
    });
    producer.half_close();
    let mut sequence = 0;
    // The wait is bounded by the test as a whole, not by a response's usual delay.
    while let Some(mut response) = producer.responses.message().await.unwrap() {
        sequence += 1;
        response.throttle_ms = 0;
        assert_eq!(response, ack(sequence));
    }
    assert_eq!(sequence, ENTRIES as i64);
    sender.await.unwrap();
}

/// `streams` streams of one connection push while the disk is held up.
async fn hold_up(streams: usize) {
    let disk = FaultyDisk::new();
    let dir = tempfile::tempdir().unwrap();
    let small_queue = ["--queue-bytes=1MiB", "--store-stall-timeout=5m"];
    let server = TestServer::start_in(dir, &small_queue, |options| {
        options.disk = Arc::new(disk.clone());
    })
    .await;
    let mut client = connect(&server.grpc()).await;
    let held = disk.hold();
    let mut pushes = Vec::new();
    for stream in 0..streams {
        let producer = Producer::open(&mut client).await;
        pushes.push(tokio::spawn(push(producer, format!("t{stream}"))));
    }
    tokio::time::sleep(HOLD).await;
    assert!(pushes.iter().all(|push| !push.is_finished()), "a push ended while the disk was held");
    drop(held);
    for push in pushes {
        push.await.unwrap();
    }
    let expected: Vec<_> = (0..ENTRIES).map(|turn| short_line("", turn).message + "\n").collect();
    for stream in 0..streams {
        let kept = text(|path| server.api(path), &format!("t{stream}")).await;
        assert_eq!(kept, expected.concat(), "task t{stream}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_lines_are_held_back_for_ten_seconds_on_1_16_and_100_streams_and_none_is_lost() {
    tokio::join!(hold_up(1), hold_up(16), hold_up(100));
}

#[tokio::test]
async fn a_store_that_stays_full_answers_retry_with_a_wait_and_notes_the_loss() {
    use otto_handler::proto::ottoscaler::log_forward_response::Status;
    let disk = FaultyDisk::new();
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--queue-bytes=1MiB", "--store-stall-timeout=50ms"];
    let server =
        TestServer::start_in(dir, &flags, |options| options.disk = Arc::new(disk.clone())).await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    let held = disk.hold();
    let sending = producer.sender();
    let big = "x".repeat(100 << 10);
    let sender = tokio::spawn(async move {
        for _ in 0..40 {
            sending.send(crate::support::entry("t", &big)).await.unwrap();
        }
    });
    producer.half_close();
    let released = tokio::spawn(async move {
        // Held until the first batch that waits for room has waited in vain.
        tokio::time::sleep(Duration::from_secs(2)).await;
        drop(held);
    });
    let (mut kept, mut retried) = (0, 0);
    while let Some(response) = producer.responses.message().await.unwrap() {
        match response.status() {
            Status::Ack => kept += 1,
            Status::Retry => {
                assert!(response.throttle_ms > 0);
                retried += 1;
            }
            Status::Drop => panic!("dropped: {}", response.message),
        }
    }
    released.await.unwrap();
    sender.await.unwrap();
    assert_eq!(kept + retried, 40);
    assert!(retried > 0, "nothing was answered RETRY");
    let task = crate::support::json(&server.api("/tasks/t")).await;
    assert_eq!(task["lines"], kept);
    assert_eq!(task["lostLines"], retried);
}

#[tokio::test]
async fn after_a_failed_fsync_nothing_is_acknowledged_and_health_says_why() {
    let disk = FaultyDisk::new();
    let dir = tempfile::tempdir().unwrap();
    let server =
        TestServer::start_in(dir, &[], |options| options.disk = Arc::new(disk.clone())).await;
    let mut client = connect(&server.grpc()).await;
    let mut producer = Producer::open(&mut client).await;
    producer.push_all(1, vec![crate::support::entry("t", "safe")]).await;
    disk.fail_next_sync();
    producer.send(crate::support::entry("t", "lost")).await;
    let ended = producer.responses.message().await.unwrap_err();
    assert_eq!(ended.code(), tonic::Code::Unavailable);
    assert!(ended.message().starts_with("the store takes no more writes: "), "{}", ended.message());
    let mut again = Producer::open(&mut client).await;
    again.send(crate::support::entry("t", "refused")).await;
    assert_eq!(again.responses.message().await.unwrap_err().code(), tonic::Code::Unavailable);
    let ready = crate::support::get(&server.root("/readyz"), None).await;
    assert_eq!(ready.status(), 503);
    assert_eq!(text(|path| server.api(path), "t").await, "safe\n");
}
