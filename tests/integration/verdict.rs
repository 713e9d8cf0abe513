//! What is told of a build's end is the same in each of the places that tell it.

use std::process::Stdio;

use otto_handler::proto::ottoscaler::worker_status_notification::StatusType;
use otto_handler::proto::ottoscaler::{WorkerLogEntry, WorkerStatusNotification};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::{
    Producer, Reader, TestServer, binary, connect, entry, json as json_of, raw_http2, run,
};

/// Nothing is awaited longer than the test needs.
const TIMES: [&str; 3] =
    ["--task-grace=10ms", "--worker-lost-after=10ms", "--task-quiet-period=10ms"];

/// What is told of a task with one worker, `w`.
struct Verdict {
    task: &'static str,
    outcome: &'static str,
    /// The task's members that depend on what happened.
    of_task: Value,
    /// The worker's.
    of_worker: Value,
    /// What `tail` says last, after the task's name.
    tail: &'static str,
    exit_code: i32,
    /// The columns of `tasks` up to the lost lines, after the task's name.
    row: [&'static str; 4],
}

fn verdicts() -> [Verdict; 5] {
    let task = |failed: bool, lines: u64, lost: u64, cut: u64| {
        json!({ "state": "complete", "failed": failed, "lines": lines, "lostLines": lost,
            "workerCounts": { "total": 1, "cut": cut } })
    };
    let worker = |state: &str, exit_code: Option<i32>, cut: u64, missing: u64| json!({ "state": state, "exitCode": exit_code, "cut": cut, "missing": missing });
    [
        Verdict {
            task: "killed",
            outcome: "lost",
            of_task: task(false, 1, 0, 1),
            of_worker: worker("RUNNING", None, 1, 0),
            tail: "lost: 1 line, some lost; w RUNNING, cut by its sender",
            exit_code: 3,
            row: ["lost", "1", "1", "some"],
        },
        Verdict {
            task: "stopped",
            outcome: "terminated",
            of_task: task(false, 1, 0, 0),
            of_worker: worker("TERMINATED", None, 0, 0),
            tail: "terminated: 1 line; w TERMINATED",
            exit_code: 6,
            row: ["terminated", "1", "1", "0"],
        },
        Verdict {
            task: "failing",
            outcome: "failed",
            of_task: task(true, 1, 0, 0),
            of_worker: worker("FAILED", Some(3), 0, 0),
            tail: "failed: 1 line; w FAILED (3)",
            exit_code: 1,
            row: ["failed", "1 (1 failed)", "1", "0"],
        },
        Verdict {
            task: "cut",
            outcome: "succeeded",
            of_task: task(false, 1, 0, 1),
            of_worker: worker("COMPLETED", None, 1, 0),
            tail: "succeeded: 1 line, some lost; w COMPLETED, cut by its sender",
            exit_code: 0,
            row: ["succeeded", "1", "1", "some"],
        },
        Verdict {
            task: "hole",
            outcome: "succeeded",
            of_task: task(false, 3, 2, 0),
            of_worker: worker("COMPLETED", None, 0, 2),
            tail: "succeeded: 3 lines, 2 lost; w COMPLETED, 2 lines missing",
            exit_code: 0,
            row: ["succeeded", "1", "3", "2"],
        },
    ]
}

/// Kills a real `push` with SIGKILL once its line is kept.
async fn kill_a_push(server: &TestServer) {
    let mut command = binary();
    command.args(["push", "--to", &server.grpc(), "--task=killed", "--worker=w"]);
    command.stdin(Stdio::piped()).stderr(Stdio::null());
    let mut push = command.spawn().unwrap();
    let mut stdin = push.stdin.take().unwrap();
    stdin.write_all(b"a line\n").await.unwrap();
    Reader::open(&server.api("/stream/killed")).await.logs(1).await;
    push.kill().await.unwrap();
}

async fn notify(server: &TestServer, task: &str, status: StatusType, second: u32, exit: &str) {
    let metadata = [("exit_code", exit)].into_iter().filter(|(_, code)| !code.is_empty());
    let notification = WorkerStatusNotification {
        task_id: task.into(),
        worker_id: "w".into(),
        status: status.into(),
        timestamp: format!("2026-11-28T10:00:{second:02}Z"),
        metadata: metadata.map(|(key, value)| (key.into(), value.into())).collect(),
        ..Default::default()
    };
    connect(&server.grpc()).await.notify_worker_status(notification).await.unwrap();
}

/// Pushes entries on a stream that ends as it should.
async fn push(server: &TestServer, entries: Vec<WorkerLogEntry>) {
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    producer.push_all(1, entries).await;
    producer.finish().await;
}

/// Sends a line without a number, resets the stream, and then tells that the worker completed.
async fn cut_a_stream(server: &TestServer) {
    let mut connection = raw_http2::Connection::open(&server.grpc_addr()).await;
    connection.push(1, &[entry("cut", "a line")]);
    connection.cancel(1);
    connection.send().await;
    let mut reader = Reader::open(&server.api("/stream/cut")).await;
    reader.logs(1).await;
    assert_eq!(reader.event().await.event, "gap");
    notify(server, "cut", StatusType::Completed, 5, "").await;
}

fn numbered(number: u64) -> WorkerLogEntry {
    let metadata = [("otto.session", "s".to_owned()), ("otto.seq", number.to_string())];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value)).into();
    WorkerLogEntry { metadata, ..entry("hole", &format!("line {number}")) }
}

/// Makes all five happen.
async fn happenings(server: &TestServer) {
    kill_a_push(server).await;
    push(server, vec![entry("stopped", "a line")]).await;
    notify(server, "stopped", StatusType::Terminated, 5, "").await;
    push(server, vec![entry("failing", "a line")]).await;
    notify(server, "failing", StatusType::Failed, 5, "3").await;
    notify(server, "failing", StatusType::Running, 1, "").await;
    cut_a_stream(server).await;
    push(server, [1, 2, 5].map(numbered).into()).await;
    notify(server, "hole", StatusType::Completed, 5, "").await;
}

/// Fails where `found` does not have every member of `expected`.
fn has(found: &Value, expected: &Value, place: &str) {
    let Some(members) = expected.as_object() else {
        return assert_eq!(found, expected, "{place}");
    };
    for (name, value) in members {
        has(&found[name], value, &format!("{place}, {name}"));
    }
}

/// The data of the event that ends the task's stream.
async fn complete(server: &TestServer, task: &str) -> Value {
    let mut reader = Reader::open(&server.api(&format!("/stream/{task}"))).await;
    loop {
        let event = reader.event().await;
        if event.event == "complete" {
            assert_eq!(reader.next().await, None, "{task}: the stream goes on");
            return serde_json::from_str(&event.data).unwrap();
        }
    }
}

/// Runs a command that reads; what it printed, standard error for `tail`.
async fn reading(server: &TestServer, arguments: &[&str]) -> (Option<i32>, String, String) {
    let url = server.root("");
    let output = run(&[arguments, &["--url", &url]].concat(), b"").await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_ends_of_a_build_are_told_alike_in_all_five_places() {
    let server = TestServer::start_with(&TIMES).await;
    happenings(&server).await;
    for expected in verdicts() {
        let task = expected.task;
        let event = complete(&server, task).await;
        let shown = json_of(&server.api(&format!("/tasks/{task}"))).await;
        has(&shown, &expected.of_task, task);
        has(&shown["workers"][0], &expected.of_worker, task);
        has(&shown, &json!({ "outcome": expected.outcome }), task);
        has(&shown, &event, &format!("{task}: complete"));
        let listed = json_of(&server.api(&format!("/tasks?name={task}"))).await;
        assert_eq!(listed["tasks"], json!([shown]), "{task}: the list");

        let (code, _, said) = reading(&server, &["tail", task]).await;
        let last = format!("otto-handler tail: {task} is complete, {}", expected.tail);
        assert_eq!((code, said.lines().last()), (Some(expected.exit_code), Some(&*last)), "{said}");
        let is_cut = expected.of_worker["cut"] == 1;
        assert_eq!(said.contains("the sender cut its stream here"), is_cut, "{said}");

        let (_, table, _) = reading(&server, &["tasks", "--name", task]).await;
        let row = table.lines().nth(1).unwrap();
        let cells: Vec<_> =
            row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        assert_eq!((cells[0], &cells[1..5]), (task, &expected.row[..]), "{table}");
        let (_, line, _) = reading(&server, &["tasks", "--name", task, "--json"]).await;
        let line: Value = serde_json::from_str(&line).unwrap();
        has(&shown, &line, &format!("{task}: tasks --json"));
        has(&line, &expected.of_task, &format!("{task}: tasks --json"));
    }
    for outcome in ["succeeded", "failed", "terminated", "lost", "unknown"] {
        let (_, lines, _) = reading(&server, &["tasks", "--outcome", outcome, "--json"]).await;
        let named = |line| serde_json::from_str::<Value>(line).unwrap()["taskId"].clone();
        let mut found: Vec<_> = lines.lines().map(named).collect();
        found.sort_by_key(Value::to_string);
        let mut expected: Vec<_> =
            verdicts().into_iter().filter(|verdict| verdict.outcome == outcome).collect();
        expected.sort_by_key(|verdict| verdict.task);
        assert_eq!(found, expected.iter().map(|verdict| verdict.task).collect::<Vec<_>>());
    }
}
