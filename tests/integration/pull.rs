//! Client mode: logs that nobody pushes are fetched, once and in order, whatever the source does.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use otto_handler::domain::TaskId;
use otto_handler::proto::otto::handler::v1::pulled_log_entry::What;
use otto_handler::proto::ottoscaler::{WorkerLogEntry, WorkerStatusNotification};
use otto_handler::pull::State;
use otto_handler::simulate::{Pace, Plan, serve_pull};
use tokio::net::TcpListener;
use tonic::Status;

use crate::support::source::{List, Pods, Source, answer, caught_up, ending, endless};
use crate::support::{
    Process, Producer, Reader, TestServer, connect, entry, json, messages, ndjson, numbered, text,
    within,
};

async fn until(server: &TestServer, what: &str, wanted: impl Fn(&State) -> bool) -> State {
    let mut watched = server.pull.watch();
    let reached = within(what, watched.wait_for(|state| wanted(state))).await;
    reached.unwrap().clone()
}

async fn until_caught_up(server: &TestServer) {
    let is_caught_up = |state: &State| matches!(state, State::Pulling { caught_up: true, .. });
    until(server, "the source's end", is_caught_up).await;
}

/// Waits for a failed attempt and returns its reason.
async fn reason(server: &TestServer) -> String {
    let is_backing_off = |state: &State| matches!(state, State::BackingOff { .. });
    match until(server, "a failed attempt", is_backing_off).await {
        State::BackingOff { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

/// Waits until the task has `count` lines and no fewer ever after, and returns them.
async fn lines_of(server: &TestServer, task: &str, count: usize) -> Vec<String> {
    let mut reader = Reader::open(&server.api(&format!("/stream/{task}"))).await;
    messages(&reader.logs(count).await);
    text(|path| server.api(path), task).await.lines().map(str::to_owned).collect()
}

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
    let server = TestServer::start_with(&[&from, "--pull-after=1s"]).await;
    let mut client = connect(&server.grpc()).await;

    let mut producer = Producer::open(&mut client).await;
    producer.push_all(1, both(1..=40).collect()).await;
    assert_eq!(server.pull.state(), State::Waiting);
    assert_eq!(source.requests(), 0, "it pulls while somebody pushes");
    producer.finish().await;

    until_caught_up(&server).await;
    assert_each_once(&server, 100).await;
    list.add(both(101..=150));
    assert_each_once(&server, 150).await;

    let mut producer = Producer::open(&mut client).await;
    until(&server, "the end of pulling", |state| *state == State::Waiting).await;
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
    until(&server, "pulling", |state| matches!(state, State::Pulling { .. })).await;

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
    assert_eq!(source.requests(), 6, "it asked anew in between");
    assert_eq!(server.terminate().await, Some(0));
}

#[tokio::test]
async fn what_is_wrong_with_answers_is_told_and_what_is_right_with_them_is_kept() {
    let line = |cursor, message: &str| answer("e", cursor, What::Entry(entry("t", message)));
    let no_task = WorkerLogEntry { task_id: String::new(), ..entry("t", "lost") };
    let mut half_numbered = entry("t", "lost");
    half_numbered.metadata.insert("otto.seq".into(), "1".into());
    let huge = entry("t", &"x".repeat(2 << 20));
    let status = |worker_id: &str, status| WorkerStatusNotification {
        worker_id: worker_id.into(),
        task_id: "t".into(),
        status,
        ..Default::default()
    };
    // An entry whose bytes are none: a length beyond the end.
    let garbled = [&[8, 9, 26, 2][..], &[10, 200]].concat();
    let answers = vec![
        line(1, "one"),
        line(2, "two"),
        line(2, "two"),
        line(1, "one"),
        answer("", 3, What::Entry(no_task)),
        line(4, "three"),
        answer("e", 5, What::Entry(half_numbered)),
        answer("e", 6, What::Entry(huge)),
        answer("e", 7, What::Status(status("w", 9))),
        answer("e", 8, What::Status(status("", 1))),
        garbled,
        line(10, "four"),
        answer("e", 11, What::Status(status("w", 2))),
        answer("e", 12, What::Status(status("w", 2))),
        line(0, "five"),
        caught_up(""),
    ];
    let source = Source::start(move |_| endless(answers.clone())).await;
    let from = format!("--pull-from={}", source.url);
    let server = TestServer::start_with(&[&from, "--pull-mode=always"]).await;
    until_caught_up(&server).await;
    assert_eq!(lines_of(&server, "t", 4).await, ["one", "two", "three", "four"]);
    let State::Pulling { complaint: Some(complaint), .. } = server.pull.state() else {
        panic!("{:?}", server.pull.state());
    };
    assert_eq!(complaint, "an answer has the cursor 0, the one before had 12");
    let counters = server.pull.counters();
    let count =
        |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!((count(&counters.backwards), count(&counters.invalid)), (3, 6));
    assert_eq!((count(&counters.statuses), count(&counters.attempts)), (1, 1));
    let task = json(&server.api("/tasks/t")).await;
    assert_eq!(task["lostLines"], 2, "{task}");
}

#[tokio::test]
async fn an_epoch_that_changes_begins_a_numbering_of_its_own() {
    let line =
        |epoch, cursor, message: &str| answer(epoch, cursor, What::Entry(entry("t", message)));
    let answers = vec![line("a", 7, "one"), line("b", 1, "two"), line("", 2, "three")];
    let source = Source::start(move |request| match request.epoch.as_str() {
        "" => ending(answers.clone()),
        _ => endless(vec![line("b", 3, "four"), caught_up("b")]),
    });
    let source = source.await;
    let from = format!("--pull-from={}", source.url);
    let server = TestServer::start_with(&[&from, "--pull-mode=always"]).await;
    let second = source.request(|request| !request.epoch.is_empty()).await;
    assert_eq!((second.epoch.as_str(), second.cursor), ("b", 2));
    assert_eq!(lines_of(&server, "t", 4).await, ["one", "two", "three", "four"]);
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
async fn an_address_that_gives_no_answer_is_told_and_pushes_go_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    assert_says(&failure_of(&format!("http://{addr}")).await, "Connection refused");
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
    assert_says(&failure_of(&addr.to_string()).await, "there is no answer after 10s");
}

#[tokio::test]
async fn a_source_that_breaks_the_protocol_is_told_and_pushes_go_on() {
    let nameless = Source::start(|_| endless(vec![caught_up("")])).await;
    assert_says(&failure_of(&nameless.url).await, "the source's first answer names no epoch");
    let garbage = Source::start(|_| endless(vec![b"\x08\xff".to_vec()])).await;
    assert_says(&failure_of(&garbage.url).await, "an answer is no PulledLogEntry");
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
    assert_says(&reason(&server).await, "the source ended the stream without an answer");
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
            line.map(|line| answer("e", next as u64 + 1, What::Entry(line))).into_iter().collect(),
        )
    });
    let source = source.await;
    let from = format!("--pull-from={}", source.url);
    let server = TestServer::start_with(&[&from, "--pull-mode=always"]).await;
    let lines = lines_of(&server, "t", 4).await;
    assert_eq!(lines, ["line 1", "line 2", "line 3", "line 4"]);
    assert!(began.elapsed() >= Duration::from_millis(1500), "{:?}", began.elapsed());
}

#[tokio::test]
async fn phases_of_pods_become_statuses_once_each() {
    let phases = ["Pending", "Pending", "Unknown", "Running", "Pending", "Running", "Succeeded"];
    let url = Pods::serve(&phases).await;
    let from = format!("--pull-from={url}");
    let flags = [&from, "--pull-status-interval=1s", "--pull-after=1h"];
    let server = TestServer::start_with(&flags).await;
    let mut reader = Reader::open(&server.api("/stream/t")).await;
    let mut statuses = Vec::new();
    loop {
        let event = reader.event().await;
        match event.event.as_str() {
            "status" => {
                let data: serde_json::Value = serde_json::from_str(&event.data).unwrap();
                statuses.push(data["status"].as_str().unwrap().to_owned());
            }
            "complete" => break,
            other => panic!("{other}"),
        }
    }
    assert_eq!(statuses, ["CREATED", "RUNNING", "COMPLETED"]);
    assert_eq!(server.pull.state(), State::Waiting);
}

#[tokio::test]
async fn simulated_builds_are_pulled_whole_and_a_restart_goes_on_where_it_was() {
    let tasks = ["build-1", "build-2"].map(|task| TaskId::new(task).unwrap()).to_vec();
    let plan = Plan { seed: 7, tasks, workers: 2, failing: vec![2] };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let from = format!("--pull-from={}", listener.local_addr().unwrap());
    let served = plan.clone();
    let serving = tokio::spawn(async move {
        serve_pull(listener, &served, Pace::Unbounded, std::future::pending()).await
    });
    let flags = [from.as_str(), "--pull-mode=always"];
    let dir = tempfile::tempdir().unwrap();
    let server = TestServer::start_in(dir, &flags, |_| {}).await;
    until_caught_up(&server).await;
    let tail = check_builds(&server, &plan).await;
    let (dir, ended) = server.begin_stop();
    within("the shutdown", ended).await.unwrap().unwrap();

    let server = TestServer::start_in(dir, &flags, |_| {}).await;
    until_caught_up(&server).await;
    assert_eq!(check_builds(&server, &plan).await, tail);
    serving.abort();
}

/// Checks that each worker's lines are the plan's, and that each build is over; returns how many
/// records there are.
async fn check_builds(server: &TestServer, plan: &Plan) -> usize {
    let mut records = 0;
    for task in &plan.tasks {
        let all = ndjson(|path| server.api(path), task.as_str()).await;
        records += all.len();
        for worker in plan.workers().unwrap().iter().filter(|worker| worker.task == *task) {
            let of_worker = all.iter().filter(|line| line["workerId"] == worker.id.as_str());
            let found: Vec<_> = of_worker.filter_map(|line| line["message"].as_str()).collect();
            let expected: Vec<_> = worker.lines().map(|line| line.message).collect();
            assert!(found.iter().eq(expected.iter()), "{} of {}", found.len(), expected.len());
        }
        let state = json(&server.api(&format!("/tasks/{task}"))).await;
        assert_eq!(state["state"], "complete", "{state}");
    }
    records
}
