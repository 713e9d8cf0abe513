//! Pushed, pulled and pushed again, and a crash in the middle: each line once and in order.

use otto_handler::proto::ottoscaler::WorkerLogEntry;
use otto_handler::pull::PullState;

use super::{lines_of, until, until_caught_up};
use crate::support::source::List;
use crate::support::{
    Process, Producer, Reader, TestServer, connect, entry, messages, numbered, text,
};

/// Line `number` of `worker`, which numbers its lines.
fn line_of(worker: &str, number: u64) -> WorkerLogEntry {
    let mut line = entry("t", &format!("{worker} {number}"));
    line.worker_id = worker.into();
    line.metadata.insert("otto.session".into(), format!("life of {worker}"));
    line.metadata.insert("otto.seq".into(), number.to_string());
    line
}

/// The lines in `numbers` of two workers, one after the other.
fn both(numbers: std::ops::RangeInclusive<u64>) -> impl Iterator<Item = WorkerLogEntry> {
    numbers.flat_map(|number| ["w1", "w2"].map(|worker| line_of(worker, number)))
}

async fn assert_each_once(server: &TestServer, count: u64) {
    let all = lines_of(server, "t", 2 * count as usize).await;
    for worker in ["w1", "w2"] {
        let of_worker: Vec<_> = all.iter().filter(|line| line.starts_with(worker)).collect();
        let expected: Vec<_> = (1..=count).map(|number| format!("{worker} {number}")).collect();
        assert!(of_worker.iter().eq(&expected.iter().collect::<Vec<_>>()), "{of_worker:?}");
    }
    assert_eq!(all.len() as u64, 2 * count);
}

#[tokio::test]
async fn a_numbered_sequence_over_push_pull_and_push_is_readable_once_and_in_order() {
    let list = List::new("list");
    list.add(both(1..=100));
    let source = list.serve().await;
    let from = format!("--pull-from={}", source.url);
    let server = TestServer::start_with(&[&from, "--pull-after=3s"]).await;
    let mut client = connect(&server.grpc()).await;

    let mut producer = Producer::open(&mut client).await;
    producer.push_all(1, both(1..=40).collect()).await;
    assert_eq!(server.pull.state(), PullState::Waiting);
    assert_eq!(source.requests(), 0, "it pulls while somebody pushes");
    producer.finish().await;

    until_caught_up(&server).await;
    assert_each_once(&server, 100).await;
    list.add(both(101..=150));
    assert_each_once(&server, 150).await;

    let mut producer = Producer::open(&mut client).await;
    until(&server, "the end of pulling", |state| *state == PullState::Waiting).await;
    let done = source.request(|request| request.done).await;
    assert_eq!((done.epoch.as_str(), done.cursor), ("list", 300));
    list.add(both(151..=200));
    // From before the point that the source knows to be kept.
    producer.push_all(1, both(141..=180).collect()).await;
    assert_each_once(&server, 180).await;
    producer.finish().await;

    until_caught_up(&server).await;
    assert_each_once(&server, 200).await;
}

#[tokio::test]
async fn without_numbers_the_last_request_tells_where_to_push_on() {
    let list = List::new("list");
    let source = list.serve().await;
    let from = format!("--pull-from={}", source.url);
    let server = TestServer::start_with(&[&from, "--pull-after=1s"]).await;
    let mut client = connect(&server.grpc()).await;
    let all = numbered("t", 3000);
    list.add(all[..2000].to_vec());
    until(&server, "pulling", |state| matches!(state, PullState::Pulling { .. })).await;

    // Wherever in its list the source is at this moment.
    let mut producer = Producer::open(&mut client).await;
    let done = source.request(|request| request.done).await;
    let rest = all[done.cursor as usize..].to_vec();
    producer.push_all(1, rest).await;
    let expected: Vec<_> = all.iter().map(|entry| entry.message.clone()).collect();
    assert_eq!(lines_of(&server, "t", 3000).await, expected);
}

#[tokio::test]
async fn a_kill_in_the_middle_of_pulling_loses_and_repeats_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let list = List::new("list");
    let source = list.serve().await;
    let from = format!("--pull-from={}", source.url);
    let flags = [from.as_str(), "--pull-mode=always", "--segment-bytes=1MiB"];
    let all = numbered("t", 50_000);
    let mut seen = 0;
    for round in 0..5 {
        let server = Process::start(&data, &flags, None).await;
        let mut reader = Reader::open(&server.api("/stream/t")).await;
        list.add(all[round * 10_000..(round + 1) * 10_000].to_vec());
        // Somewhere in the middle, while the source goes on.
        seen += 3000;
        reader.logs(seen).await;
        server.kill().await;
    }
    let server = Process::start(&data, &flags, None).await;
    let mut reader = Reader::open(&server.api("/stream/t")).await;
    let expected: Vec<_> = all.iter().map(|entry| entry.message.clone()).collect();
    assert!(messages(&reader.logs(50_000).await) == expected);
    let kept = text(|path| server.api(path), "t").await;
    assert!(kept.lines().eq(expected.iter().map(String::as_str)), "{}", kept.lines().count());
    assert_eq!(source.requests(), 6, "it sent further requests in between");
    assert_eq!(server.terminate().await, Some(0));
}
