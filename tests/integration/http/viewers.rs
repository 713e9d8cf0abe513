//! Several viewers, late ones, and ones that do not read.

use futures_util::StreamExt;
use otto_handler::client::https;
use otto_handler::client::sse::Event;
use otto_handler::proto::ottoscaler::worker_status_notification::StatusType;
use otto_handler::proto::ottoscaler::{WorkerLogEntry, WorkerStatusNotification};
use serde_json::Value;

use crate::support::{
    Process, Producer, Reader, TestServer, connect, entry, get, json, messages, numbered, within,
};

fn ids(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.id.as_str()).collect()
}

#[tokio::test]
async fn a_late_viewer_sees_the_same_ids_in_the_same_order_as_one_from_the_start() {
    let server = TestServer::start().await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    let mut early = Reader::open(&server.api("/stream/t")).await;
    let lines = numbered("t", 200);
    producer.push_all(1, lines[..100].to_vec()).await;
    let mut late = Reader::open(&server.api("/logs/t/stream")).await;
    producer.push_all(101, lines[100..].to_vec()).await;
    let (early, late) = (early.logs(200).await, late.logs(200).await);
    assert_eq!(ids(&early), ids(&late));
    assert_eq!(messages(&early), messages(&late));
    assert_eq!(messages(&late)[199], "line 200");
}

#[tokio::test]
async fn the_all_tasks_stream_starts_at_now_and_has_the_tasks_own_ids() {
    let server = TestServer::start().await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    producer.push_all(1, vec![entry("a", "before")]).await;
    let mut all = Reader::open(&server.api("/stream")).await;
    producer.push_all(2, vec![entry("a", "one"), entry("b", "two"), entry("a", "three")]).await;
    let all = all.logs(3).await;
    assert_eq!(messages(&all), ["one", "two", "three"]);
    let mut a = Reader::open(&server.api("/stream/a")).await;
    let a = a.logs(3).await;
    assert_eq!(ids(&a)[1..], [all[0].id.as_str(), all[2].id.as_str()]);
}

#[tokio::test]
async fn resuming_after_every_single_id_continues_with_the_next_line() {
    let server = TestServer::start().await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    producer.push_all(1, numbered("t", 30)).await;
    let all = Reader::open(&server.api("/stream/t")).await.logs(30).await;
    for (place, event) in all.iter().enumerate().take(29) {
        let mut resumed = Reader::resume(&server.api("/stream/t"), &event.id).await;
        assert_eq!(resumed.logs(1).await[0], all[place + 1]);
    }
}

#[tokio::test]
async fn a_viewer_that_reached_the_end_of_a_finished_task_gets_204() {
    let server = TestServer::start_with(&["--task-quiet-period=1ms"]).await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    producer.push_all(1, numbered("t", 3)).await;
    producer.finish().await;
    let mut reader = Reader::open(&server.api("/stream/t")).await;
    assert_eq!(reader.logs_to_end().await.len(), 3);
    let again = get(&server.api("/stream/t"), Some(reader.last_event_id())).await;
    assert_eq!(again.status(), 204);
}

#[tokio::test]
async fn a_filter_shows_what_it_names_and_moves_the_resume_point_past_the_rest() {
    let server = TestServer::start_with(&["--task-quiet-period=1ms"]).await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    let mut lines = numbered("t", 10);
    lines[3].level = "ERROR".into();
    lines[3].message = "Disk FULL".into();
    producer.push_all(1, lines).await;
    producer.finish().await;
    let url = server.api("/stream/t?level=error,warn&keywords=disk%20full,none");
    let mut reader = Reader::open(&url).await;
    assert_eq!(messages(&reader.logs_to_end().await), ["Disk FULL"]);
    let again = get(&url, Some(reader.last_event_id())).await;
    assert_eq!(again.status(), 204);
}

/// Lines pushed while one viewer does not read.
const LINES: usize = 200_000;

/// What the whole process may use at its peak meanwhile, with the default budgets.
const PEAK_MIB: u64 = 160;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_stops_reading_harms_nobody_and_gets_every_line_once_it_reads() {
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start(&dir.path().join("data"), &[], None).await;
    let mut stopped = get(&server.api("/stream/t"), None).await.bytes_stream();
    assert!(stopped.next().await.unwrap().is_ok(), "the stream begins");

    let mut live = Reader::open(&server.api("/stream/t")).await;
    let watching = tokio::spawn(async move { live.logs(LINES).await });
    let mut producer = Producer::open_with(&mut connect(&server.grpc_url()).await, |request| {
        request.metadata_mut().insert("otto-ack-mode", "cumulative".parse().unwrap());
    })
    .await;
    let sending = producer.sender();
    let sender = tokio::spawn(async move {
        for entry in numbered("t", LINES) {
            sending.send(entry).await.unwrap();
        }
    });
    producer.half_close();
    while producer.responses.message().await.unwrap().is_some() {}
    sender.await.unwrap();
    let live = watching.await.unwrap();
    let expected: Vec<_> = (1..=LINES).map(|turn| format!("line {turn}")).collect();
    assert_eq!(messages(&live), expected);

    let peak_mib = server.peak_kib() / 1024;
    println!("peak resident memory with a stopped viewer: {peak_mib} MiB");
    assert!(peak_mib <= PEAK_MIB, "{peak_mib} MiB, the limit is {PEAK_MIB}");

    let mut late = Reader::over(stopped);
    assert_eq!(late.logs(LINES).await, live);
}

/// Pushes one line of `worker` and notifies that it completed.
async fn step(server: &TestServer, worker: &str, line: &str) {
    let mut client = connect(&server.grpc()).await;
    let mut producer = Producer::open(&mut client).await;
    let of_worker = WorkerLogEntry { worker_id: worker.into(), ..entry("build", line) };
    producer.push_all(1, vec![of_worker]).await;
    producer.finish().await;
    let completed = WorkerStatusNotification {
        task_id: "build".into(),
        worker_id: worker.into(),
        status: StatusType::Completed.into(),
        ..Default::default()
    };
    client.notify_worker_status(completed).await.unwrap();
}

#[tokio::test]
async fn a_build_of_two_steps_is_over_once_and_after_the_second() {
    let server = TestServer::start_with(&["--task-grace=1h"]).await;
    let mut reader = Reader::open(&server.api("/stream/build")).await;
    for (worker, line) in [("step-1", "one"), ("step-2", "two")] {
        step(&server, worker, line).await;
        let task = json(&server.api("/tasks/build")).await;
        assert_eq!((&task["state"], &task["outcome"]), (&"running".into(), &Value::Null));
    }
    let told = https::client()
        .post(server.api("/tasks/build/end"))
        .header("content-type", "application/json")
        .body("{}");
    assert_eq!(within("the end", told.send()).await.unwrap().status(), 200);
    assert_eq!(messages(&reader.logs_to_end().await), ["one", "two"]);
    let again = get(&server.api("/stream/build"), Some(reader.last_event_id())).await;
    assert_eq!(again.status(), 204);
    assert_eq!(json(&server.api("/tasks/build")).await["outcome"], "succeeded");
}
