//! `--durability memory`: what is in the window is read as from a disk, the rest is a gap.

use std::process::Stdio;

use serde_json::{Value, json as value};
use tokio::io::AsyncReadExt;

use crate::support::{
    Process, Producer, Reader, TestServer, binary, connect, entry, json, numbered, text, within,
};

async fn push(server: &TestServer, task: &str, count: usize) {
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    producer.push_all(1, numbered(task, count)).await;
    producer.finish().await;
}

#[tokio::test]
async fn history_tail_downloads_and_line_addresses_come_from_the_window() {
    let server = TestServer::start_with(&["--durability=memory"]).await;
    push(&server, "t", 10).await;
    let numbers = |page: &Value| {
        let lines = page["lines"].as_array().unwrap().iter();
        lines.map(|line| line["line"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let page = async |query: &str| json(&server.api(&format!("/tasks/t/logs?{query}"))).await;
    let all = page("").await;
    assert_eq!((numbers(&all), &all["totalLines"]), ((1..=10).collect(), &value!(10)));
    assert_eq!(numbers(&page("tail=2").await), [9, 10]);
    assert_eq!(numbers(&page("afterLine=7").await), [8, 9, 10]);
    assert_eq!(numbers(&page("beforeLine=3").await), [1, 2]);
    assert_eq!(text(|path| server.api(path), "t").await.lines().count(), 10);
    let mut tail = Reader::open(&server.api("/stream/t?tail=1")).await;
    assert_eq!(tail.logs(1).await.len(), 1);
}

#[tokio::test]
async fn what_has_left_the_window_is_a_gap_and_the_rest_is_read() {
    let flags = ["--durability=memory", "--hub-bytes=1MiB"];
    let server = TestServer::start_with(&flags).await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    let line = "x".repeat(10_000);
    producer.push_all(1, (0..200).map(|_| entry("t", &line)).collect()).await;
    let mut reader = Reader::open(&server.api("/stream/t")).await;
    let gap = reader.event().await;
    let data: Value = serde_json::from_str(&gap.data).unwrap();
    assert_eq!((gap.event.as_str(), &data["reason"]), ("gap", &value!("memory")));
    let first = data["lines"].as_u64().unwrap() + 1;
    assert!((100..200).contains(&first), "{data}");
    let kept = (200 - first + 1) as usize;
    assert_eq!(reader.logs(kept).await.len(), kept);
    let task = json(&server.api("/tasks/t")).await;
    assert_eq!(task["firstLine"], value!(first));
    let page = json(&server.api("/tasks/t/logs?limit=1")).await;
    assert_eq!(page["firstLine"], value!(first));
    let text = text(|path| server.api(path), "t").await;
    let gap = format!("--- {} lines are missing here: memory ---", first - 1);
    assert_eq!((text.lines().next(), text.lines().count()), (Some(&*gap), 1 + kept));
}

#[tokio::test]
async fn a_log_that_is_not_read_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    assert_eq!(Process::start(&data, &[], None).await.terminate().await, Some(0));
    let mut command = binary();
    command.args(["serve", "--auth=none", "--durability=memory", "--data-dir"]).arg(&data);
    command.args(["--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0"]).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let mut log = String::new();
    let expected = format!("{} holds a log that this server does not read", data.display());
    within("the warning", async {
        while !log.contains(&expected) {
            let mut part = [0; 4096];
            let bytes = stderr.read(&mut part).await.unwrap();
            assert!(bytes > 0, "it ended: {log}");
            log.push_str(&String::from_utf8_lossy(&part[..bytes]));
        }
    })
    .await;
    child.kill().await.unwrap();
}
