//! ottoscaler cancels right behind its half-close; the last lines are the ones people look for.

use otto_handler::proto::ottoscaler::WorkerLogEntry;
use serde_json::Value;

use crate::support::{
    Producer, Reader, TestServer, connect, entry, json, messages, raw_http2, text, within,
};

const STREAMS: usize = 20;
const ENTRIES: usize = 1000;

/// Short enough that a thousand of them fit the server's stream window.
fn short(task: &str, turn: usize) -> WorkerLogEntry {
    let (worker_id, task_id) = ("w".into(), task.into());
    WorkerLogEntry { worker_id, task_id, message: format!("{turn}"), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_entry_that_arrived_before_a_cancel_is_readable_in_order() {
    let server = TestServer::start().await;
    let pushes = (0..STREAMS).map(|stream| {
        let task = format!("t{stream}");
        let addr = server.grpc_addr();
        tokio::spawn(async move {
            let entries: Vec<_> = (1..=ENTRIES).map(|turn| short(&task, turn)).collect();
            let mut connection = raw_http2::Connection::open(&addr).await;
            connection.push(1, &entries);
            connection.half_close(1);
            connection.cancel(1);
            connection.send().await;
            connection
        })
    });
    let mut connections = Vec::new();
    for push in pushes.collect::<Vec<_>>() {
        connections.push(push.await.unwrap());
    }
    let expected: Vec<_> = (1..=ENTRIES).map(|turn| turn.to_string()).collect();
    for stream in 0..STREAMS {
        let mut reader = Reader::open(&server.api(&format!("/stream/t{stream}"))).await;
        assert_eq!(messages(&reader.logs(ENTRIES).await), expected, "task t{stream}");
    }
}

/// Streams of one connection that ends right behind them, in the same segments.
const LAST_STREAMS: u32 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_entry_of_streams_that_came_together_with_the_connections_end_is_kept() {
    let server = TestServer::start().await;
    for round in 0..10 {
        let mut connection = raw_http2::Connection::open(&server.grpc_addr()).await;
        let task = |stream| format!("r{round}s{stream}");
        for stream in 0..LAST_STREAMS {
            let entries: Vec<_> = (1..=50).map(|turn| short(&task(stream), turn)).collect();
            connection.push(2 * stream + 1, &entries);
            if stream % 2 == 0 {
                connection.half_close(2 * stream + 1);
            }
        }
        connection.send_and_close().await;
        for stream in 0..LAST_STREAMS {
            let url = server.api(&format!("/stream/{}", task(stream)));
            assert_eq!(Reader::open(&url).await.logs(50).await.len(), 50);
        }
    }
}

#[tokio::test]
async fn a_producer_that_vanishes_leaves_what_it_sent_and_a_task_that_goes_quiet() {
    let server = TestServer::start_with(&["--task-quiet-period=1ms"]).await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    producer.push_all(1, vec![entry("t", "the last words")]).await;
    let mut reader = Reader::open(&server.api("/stream/t")).await;
    assert_eq!(messages(&reader.logs(1).await), ["the last words"]);
    drop(producer);
    let cut: Value = serde_json::from_str(&reader.event().await.data).unwrap();
    assert_eq!(cut["reason"], "cut");
    let complete = reader.event().await;
    assert_eq!(complete.event, "complete");
    let complete: Value = serde_json::from_str(&complete.data).unwrap();
    assert_eq!((&complete["outcome"], &complete["workers"][0]["cut"]), (&"lost".into(), &1.into()));
}

/// What is told of the first worker of `task`.
async fn worker(server: &TestServer, task: &str) -> Value {
    json(&server.api(&format!("/tasks/{task}"))).await["workers"][0].clone()
}

fn numbered_entry(task: &str, session: &str, seq: u64) -> WorkerLogEntry {
    let metadata = [("otto.session", session), ("otto.seq", &seq.to_string())];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    WorkerLogEntry { metadata, ..entry(task, &format!("{seq}")) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_reset_before_its_end_is_told_as_cut_and_one_after_it_is_not() {
    let server = TestServer::start_with(&["--task-grace=1h"]).await;
    let mut connection = raw_http2::Connection::open(&server.grpc_addr()).await;
    connection.push(1, &[short("clean", 1)]);
    connection.half_close(1);
    connection.cancel(1);
    connection
        .push(3, &[short("cut", 1), WorkerLogEntry { worker_id: "v".into(), ..short("cut", 2) }]);
    connection.cancel(3);
    connection.send().await;
    let mut reader = Reader::open(&server.api("/stream/cut")).await;
    reader.logs(2).await;
    let gaps: Vec<Value> = [reader.event().await, reader.event().await]
        .map(|event| serde_json::from_str(&event.data).unwrap())
        .into();
    assert_eq!(gaps[0]["reason"], "cut");
    assert_eq!(gaps[0]["lines"], Value::Null);
    assert_eq!([&gaps[0]["workerId"], &gaps[1]["workerId"]], ["w", "v"]);
    assert_eq!(worker(&server, "cut").await["cut"], 1);
    let text = text(|path| server.api(path), "cut").await;
    let told = "--- the sender cut its stream here: what it had not sent is missing, how many lines \
                is unknown ---";
    assert!(text.contains(told), "{text}");
    Reader::open(&server.api("/stream/clean")).await.logs(1).await;
    within("the clean stream's end", async {
        while json(&server.api("/health")).await["pushed"]["openStreams"] != 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(worker(&server, "clean").await["cut"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_stream_of_numbered_entries_is_told_only_if_its_producer_does_not_come_back() {
    let server = TestServer::start_with(&["--task-grace=1h"]).await;
    let mut connection = raw_http2::Connection::open(&server.grpc_addr()).await;
    connection.push(1, &[numbered_entry("t", "s", 1)]);
    connection.cancel(1);
    connection.send().await;
    let mut reader = Reader::open(&server.api("/stream/t")).await;
    reader.logs(1).await;
    connection.push(3, &[numbered_entry("t", "s", 1), numbered_entry("t", "s", 2)]);
    connection.half_close(3);
    connection.send().await;
    assert_eq!(messages(&reader.logs(1).await), ["2"]);
    assert_eq!(worker(&server, "t").await["cut"], 0);

    let impatient = TestServer::start().await;
    let mut connection = raw_http2::Connection::open(&impatient.grpc_addr()).await;
    connection.push(1, &[numbered_entry("t", "s", 1)]);
    connection.cancel(1);
    connection.send().await;
    let mut reader = Reader::open(&impatient.api("/stream/t")).await;
    reader.logs(1).await;
    assert_eq!(reader.event().await.event, "gap");
    assert_eq!(worker(&impatient, "t").await["cut"], 1);
}
