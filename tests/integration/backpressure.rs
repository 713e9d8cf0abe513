//! A store that cannot keep up holds producers back; it costs no line and no connection.

use std::sync::Arc;
use std::time::Duration;

use otto_handler::proto::ottoscaler::WorkerLogEntry;
use otto_handler::proto::ottoscaler::log_forward_response::Status;
use otto_handler::store::faults::FaultyDisk;

use crate::support::{
    Producer, TestServer, ack, connect, entry, get, json, raw_http2, text, within,
};

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
    let disk = FaultyDisk::default();
    let dir = tempfile::tempdir().unwrap();
    let small_queue = ["--queue-bytes=1MiB", "--store-stall-timeout=5m"];
    let server = TestServer::start_in(dir, &small_queue, |options| {
        options.disk = Arc::new(disk.clone());
    })
    .await;
    let mut client = connect(&server.grpc()).await;
    disk.hold();
    let mut pushes = Vec::new();
    for stream in 0..streams {
        let producer = Producer::open(&mut client).await;
        pushes.push(tokio::spawn(push(producer, format!("t{stream}"))));
    }
    tokio::time::sleep(HOLD).await;
    assert!(pushes.iter().all(|push| !push.is_finished()), "a push ended while the disk was held");
    disk.release();
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

/// Streams whose windows are filled with the smallest frames there can be.
const FULL_STREAMS: u32 = 100;

/// Entries that fill a stream's window of 32 KiB with frames of 13 or 14 bytes.
const FULL_ENTRIES: usize = 2300;

#[tokio::test]
async fn windows_full_of_the_smallest_frames_cost_no_connection_while_the_disk_is_held() {
    let disk = FaultyDisk::default();
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--queue-bytes=1MiB", "--store-stall-timeout=5m"];
    let server =
        TestServer::start_in(dir, &flags, |options| options.disk = Arc::new(disk.clone())).await;
    disk.hold();
    let mut connection = raw_http2::Connection::open(&server.grpc_addr()).await;
    for stream in 0..FULL_STREAMS {
        let task = format!("{stream:02}");
        let entries: Vec<_> = (0..FULL_ENTRIES).map(|turn| short_line(&task, turn)).collect();
        connection.push(2 * stream + 1, &entries);
    }
    connection.send().await;
    tokio::time::sleep(HOLD).await;
    assert!(!connection.ended.is_finished(), "the connection was closed");
    disk.release();
    for stream in 0..FULL_STREAMS {
        connection.half_close(2 * stream + 1);
    }
    connection.send().await;
    for stream in 0..FULL_STREAMS {
        let url = server.api(&format!("/tasks/{stream:02}"));
        within("every line", async {
            while lines(&url).await != Some(FULL_ENTRIES as u64) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// A task's lines; none while the task is not known.
async fn lines(url: &str) -> Option<u64> {
    let response = get(url, None).await;
    let body = response.status().is_success().then_some(response)?.text().await.unwrap();
    serde_json::from_str::<serde_json::Value>(&body).unwrap()["lines"].as_u64()
}

/// Pushes `count` large lines and counts the ACKs and RETRYs.
async fn push_large(mut producer: Producer, count: usize) -> (u64, u64) {
    let sending = producer.sender();
    let sender = tokio::spawn(async move {
        for _ in 0..count {
            sending.send(entry("t", &"x".repeat(100 << 10))).await.unwrap();
        }
    });
    producer.half_close();
    let (mut kept, mut retried) = (0, 0);
    while let Some(response) = producer.responses.message().await.unwrap() {
        match response.status() {
            Status::Ack => kept += 1,
            Status::Retry => {
                assert!(response.throttle_ms > 0, "{response:?}");
                retried += 1;
            }
            Status::Drop => panic!("dropped: {}", response.message),
        }
    }
    sender.await.unwrap();
    (kept, retried)
}

#[tokio::test]
async fn a_store_that_stays_full_answers_retry_with_a_wait_and_notes_the_loss() {
    let disk = FaultyDisk::default();
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--queue-bytes=1MiB", "--store-stall-timeout=50ms"];
    let server =
        TestServer::start_in(dir, &flags, |options| options.disk = Arc::new(disk.clone())).await;
    let mut client = connect(&server.grpc()).await;
    disk.hold();
    let mut pushes = Vec::new();
    for _ in 0..8 {
        let producer = Producer::open(&mut client).await;
        pushes.push(tokio::spawn(push_large(producer, 40)));
    }
    // Until a stream's second batch was answered RETRY, with the gap of its first: a batch has
    // two lines at most. The health's counters tell.
    within("a second RETRY of a stream", async {
        while json(&server.api("/health")).await["pushed"]["retried"].as_u64() < Some(8 * 2 * 2) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    disk.release();
    let (mut kept, mut retried) = (0, 0);
    for push in pushes {
        let counts = push.await.unwrap();
        kept += counts.0;
        retried += counts.1;
    }
    assert_eq!(kept + retried, 320);
    assert!(retried > 0, "nothing got a RETRY");
    let task = json(&server.api("/tasks/t")).await;
    assert_eq!((&task["lines"], &task["lostLines"]), (&kept.into(), &retried.into()));
}

#[tokio::test]
async fn after_a_failed_fsync_nothing_is_acknowledged_and_health_says_why() {
    let disk = FaultyDisk::default();
    let dir = tempfile::tempdir().unwrap();
    let server =
        TestServer::start_in(dir, &[], |options| options.disk = Arc::new(disk.clone())).await;
    let mut client = connect(&server.grpc()).await;
    let mut producer = Producer::open(&mut client).await;
    producer.push_all(1, vec![entry("t", "safe")]).await;
    disk.fail_sync(1);
    producer.send(entry("t", "lost")).await;
    let ended = producer.responses.message().await.unwrap_err();
    assert_eq!(ended.code(), tonic::Code::Unavailable);
    assert!(ended.message().starts_with("the store takes no more writes: "), "{}", ended.message());
    let mut again = Producer::open(&mut client).await;
    again.send(entry("t", "refused")).await;
    assert_eq!(again.responses.message().await.unwrap_err().code(), tonic::Code::Unavailable);
    let ready = get(&server.root("/readyz"), None).await;
    assert_eq!(ready.status(), 503);
    assert_eq!(text(|path| server.api(path), "t").await, "safe\n");
}
