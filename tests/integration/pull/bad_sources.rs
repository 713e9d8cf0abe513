//! Sources and addresses that break the protocol: that is reported, bounded, and harms nobody.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use otto_handler::counter::Counter;
use otto_handler::proto::otto::handler::v1::pulled_log_entry::What;
use otto_handler::proto::ottoscaler::{WorkerLogEntry, WorkerStatusNotification};
use otto_handler::pull::PullState;
use tokio::net::TcpListener;
use tonic::Status;

use super::{lines_of, reason, until_caught_up};
use crate::support::source::{Pods, Source, caught_up, ending, endless, response};
use crate::support::{Producer, TestServer, connect, entry, json, numbered, within};

#[tokio::test]
async fn what_is_wrong_with_responses_is_reported_and_what_is_right_with_them_is_kept() {
    let line = |cursor, message: &str| response("e", cursor, What::Entry(entry("t", message)));
    let no_task = WorkerLogEntry { task_id: String::new(), ..entry("t", "lost") };
    let mut half_numbered = entry("t", "lost");
    half_numbered.metadata.insert("otto.seq".into(), "1".into());
    let mut huge = entry("t", "lost");
    huge.metadata.insert("key".into(), "x".repeat(2 << 20));
    let status = |worker_id: &str, status| WorkerStatusNotification {
        worker_id: worker_id.into(),
        task_id: "t".into(),
        status,
        ..Default::default()
    };
    // An entry whose bytes are none: a length beyond the end.
    let garbled = [&[8, 9, 26, 2][..], &[10, 200]].concat();
    let responses = vec![
        line(1, "one"),
        line(2, "two"),
        line(2, "two"),
        line(1, "one"),
        response("", 3, What::Entry(no_task)),
        line(4, "three"),
        response("e", 5, What::Entry(half_numbered)),
        response("e", 6, What::Entry(huge)),
        response("e", 7, What::Status(status("w", 9))),
        response("e", 8, What::Status(status("", 1))),
        garbled,
        line(10, "four"),
        response("e", 11, What::Status(status("w", 2))),
        response("e", 12, What::Status(status("w", 2))),
        line(0, "five"),
        caught_up(""),
    ];
    let source = Source::start(move |_| endless(responses.clone())).await;
    let from = format!("--pull-from={}", source.url);
    let server = TestServer::start_with(&[&from, "--pull-mode=always"]).await;
    until_caught_up(&server).await;
    assert_eq!(lines_of(&server, "t", 4).await, ["one", "two", "three", "four"]);
    let PullState::Pulling { complaint: Some(complaint), .. } = server.pull.state() else {
        panic!("{:?}", server.pull.state());
    };
    assert_eq!(complaint, "a response has the cursor 0, the one before had 12");
    let counters = server.pull.counters();
    let count = Counter::get;
    assert_eq!((count(&counters.backwards), count(&counters.invalid)), (3, 6));
    assert_eq!((count(&counters.statuses), count(&counters.attempts)), (1, 1));
    let task = json(&server.api("/tasks/t")).await;
    assert_eq!(task["lostLines"], 2, "{task}");
}

#[tokio::test]
async fn an_epoch_that_changes_begins_a_numbering_of_its_own() {
    let line =
        |epoch, cursor, message: &str| response(epoch, cursor, What::Entry(entry("t", message)));
    let responses = vec![line("a", 7, "one"), line("b", 1, "two"), line("", 2, "three")];
    let source = Source::start(move |request| match request.epoch.as_str() {
        "" => ending(responses.clone()),
        _ => endless(vec![line("b", 3, "four"), line("a", 7, "one"), line("", 8, "five")]),
    });
    let source = source.await;
    let from = format!("--pull-from={}", source.url);
    let server = TestServer::start_with(&[&from, "--pull-mode=always"]).await;
    let second = source.request(|request| !request.epoch.is_empty()).await;
    assert_eq!((second.epoch.as_str(), second.cursor), ("b", 2));
    let lines = lines_of(&server, "t", 5).await;
    assert_eq!(lines, ["one", "two", "three", "four", "five"]);
}

/// Starts a server that pulls from `url`, checks that pushes are served all the same, and
/// returns why pulling fails.
async fn failure_of(url: &str) -> String {
    let from = format!("--pull-from={url}");
    let server = TestServer::start_with(&[&from, "--pull-mode=always"]).await;
    let reason = reason(&server).await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    producer.push_all(1, numbered("pushed", 3)).await;
    let (_dir, ended) = server.begin_stop();
    within("the shutdown", ended).await.unwrap().unwrap();
    reason
}

fn assert_says(reason: &str, expected: &str) {
    assert!(reason.contains(expected), "{reason:?} lacks {expected:?}");
}

#[tokio::test]
async fn an_address_that_does_not_answer_is_reported_and_pushes_go_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    assert_says(&failure_of(&format!("http://{addr}")).await, "connection refused");
    assert_says(&failure_of("nowhere.invalid:9090").await, "failed to lookup address");

    let http1 = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = http1.local_addr().unwrap();
    let app = axum::Router::new();
    let speaking = tokio::spawn(async move {
        loop {
            let (socket, _) = http1.accept().await.unwrap();
            let service = hyper_util::service::TowerToHyperService::new(app.clone());
            let io = hyper_util::rt::TokioIo::new(socket);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
        }
    });
    assert_says(
        &failure_of(&addr.to_string()).await,
        "the address speaks HTTP/1, gRPC needs HTTP/2",
    );
    speaking.abort();

    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = hanging.local_addr().unwrap();
    assert_says(&failure_of(&addr.to_string()).await, "there is no response after 10s");
}

#[tokio::test]
async fn a_source_that_breaks_the_protocol_is_reported_and_pushes_go_on() {
    let nameless = Source::start(|_| endless(vec![caught_up("")])).await;
    assert_says(&failure_of(&nameless.url).await, "the source's first response names no epoch");
    let garbage = Source::start(|_| endless(vec![b"\x08\xff".to_vec()])).await;
    assert_says(&failure_of(&garbage.url).await, "a response is not a PulledLogEntry");
    let refusing = Source::start(|_| {
        futures_util::stream::iter([Err(Status::permission_denied("who are you"))]).boxed()
    });
    let refusing = refusing.await;
    assert_says(&failure_of(&refusing.url).await, "PERMISSION_DENIED: who are you");
    let pods = Pods::serve(&["Running"]).await;
    let expected = "does not serve otto.handler.v1.WorkerLogSource/PullWorkerLogs";
    assert_says(&failure_of(&pods).await, expected);
}

#[tokio::test]
async fn a_source_that_ends_every_stream_at_once_is_asked_ever_less_often() {
    let began = Instant::now();
    let source = Source::start(|_| ending(Vec::new())).await;
    let from = format!("--pull-from={}", source.url);
    let server = TestServer::start_with(&[&from, "--pull-mode=always"]).await;
    assert_says(&reason(&server).await, "the source ended the stream without a response");
    source.until_requests(4).await;
    // At least half of 1, 2 and 4 seconds.
    assert!(began.elapsed() >= Duration::from_millis(3500), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_source_that_brings_one_line_a_stream_is_asked_again_soon_and_not_at_once() {
    let all = numbered("t", 4);
    let began = Instant::now();
    let source = Source::start(move |request| {
        let next = request.cursor as usize;
        let line = all.get(next).cloned();
        ending(
            line.map(|line| response("e", next as u64 + 1, What::Entry(line)))
                .into_iter()
                .collect(),
        )
    });
    let source = source.await;
    let from = format!("--pull-from={}", source.url);
    let server = TestServer::start_with(&[&from, "--pull-mode=always"]).await;
    let lines = lines_of(&server, "t", 4).await;
    assert_eq!(lines, ["line 1", "line 2", "line 3", "line 4"]);
    assert!(began.elapsed() >= Duration::from_millis(1500), "{:?}", began.elapsed());
}
