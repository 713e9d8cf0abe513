//! What was acknowledged outlives the process, and readers resume to the line.

use serde_json::Value;

use crate::support::{Process, Producer, Reader, connect, messages, numbered, text};

#[tokio::test]
async fn a_viewer_cut_by_a_kill_resumes_after_the_restart_without_a_hole_or_a_repeat() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let first = Process::start(&data, &[], None).await;
    let ports = first.ports();
    let mut producer = Producer::open(&mut connect(&first.grpc_url()).await).await;
    let lines = numbered("t", 300);
    producer.push_all(1, lines[..200].to_vec()).await;
    let mut reader = Reader::open(&first.api("/stream/t")).await;
    let mut seen = reader.logs(120).await;
    let last_id = seen.last().unwrap().id.clone();
    first.kill().await;

    let second = Process::start(&data, &[], Some((&ports.0, &ports.1))).await;
    assert_eq!(text(|path| second.api(path), "t").await.lines().count(), 200);
    let mut resumed = Reader::resume(&second.api("/stream/t"), &last_id).await;
    let mut producer = Producer::open(&mut connect(&second.grpc_url()).await).await;
    producer.push_all(1, lines[200..].to_vec()).await;
    seen.extend(resumed.logs(180).await);
    let expected: Vec<_> = (1..=300).map(|turn| format!("line {turn}")).collect();
    assert_eq!(messages(&seen), expected);
    let mut ids: Vec<_> = seen.iter().map(|event| event.id.clone()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 300);
    assert_eq!(second.terminate().await, Some(0));
}

#[tokio::test]
async fn entries_acknowledged_at_the_moment_of_a_kill_are_all_kept() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut acknowledged = 0;
    for round in 0..5 {
        let server = Process::start(&data, &[], None).await;
        let start = match round {
            0 => 0,
            _ => text(|path| server.api(path), "t").await.lines().count(),
        };
        assert!(start >= acknowledged, "round {round}: {start} of {acknowledged}");
        let mut producer = Producer::open(&mut connect(&server.grpc_url()).await).await;
        let sending = producer.sender();
        let sender = tokio::spawn(async move {
            for entry in numbered("t", start + 5000).split_off(start) {
                if sending.send(entry).await.is_err() {
                    return;
                }
            }
        });
        for _ in 0..500 {
            producer.response().await;
        }
        server.kill().await;
        acknowledged = start + 500;
        sender.await.unwrap();
    }
    let server = Process::start(&data, &[], None).await;
    let kept = text(|path| server.api(path), "t").await;
    for (turn, line) in kept.lines().enumerate() {
        assert_eq!(line, format!("line {}", turn + 1));
    }
    assert!(kept.lines().count() >= acknowledged);
}

#[tokio::test]
async fn a_resume_with_another_stores_id_starts_over_with_a_reset() {
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start(&dir.path().join("data"), &[], None).await;
    let mut producer = Producer::open(&mut connect(&server.grpc_url()).await).await;
    producer.push_all(1, numbered("t", 3)).await;
    let mut reader = Reader::resume(&server.api("/stream/t"), "00000000-2").await;
    let reset = reader.event().await;
    assert_eq!(reset.event, "reset");
    let data: Value = serde_json::from_str(&reset.data).unwrap();
    assert_eq!(data["epoch"].as_str().map(str::len), Some(8));
    assert_eq!(messages(&reader.logs(3).await), ["line 1", "line 2", "line 3"]);
}
