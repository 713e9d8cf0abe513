//! `push -- command`: what becomes of the command, of its output, and of what the server is told.

use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;

use crate::support::{Process, binary, json, ndjson, run, within};

async fn server() -> (tempfile::TempDir, Process) {
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start(&dir.path().join("data"), &[], None).await;
    (dir, server)
}

async fn push(to: &str, more: &[&str], input: &[u8]) -> Output {
    let base = ["push", "--to", to, "--task", "t", "--worker", "w"];
    run(&[&base[..], more].concat(), input).await
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn worker(server: &Process) -> Value {
    json(&server.api("/tasks/t")).await["workers"][0].clone()
}

async fn tail_code(server: &Process) -> Option<i32> {
    let url = format!("http://{}", server.http);
    run(&["tail", "--url", &url, "--task", "t"], b"").await.status.code()
}

#[tokio::test]
async fn a_commands_output_keeps_its_source_and_its_exit_code_is_passed_on_and_told() {
    let (_dir, server) = server().await;
    let script = "echo out; sleep 0.2; echo err >&2; sleep 0.2; printf last; exit 3";
    let pushed = push(&server.grpc_url(), &["--tee", "--", "sh", "-c", script], b"").await;
    assert_eq!(pushed.status.code(), Some(3), "{}", said(&pushed));
    assert_eq!(pushed.stdout, b"out\nlast");
    assert!(said(&pushed).contains("err\n"), "{}", said(&pushed));
    assert!(said(&pushed).contains(":4000/tasks/t"), "{}", said(&pushed));
    let lines = ndjson(|path| server.api(path), "t").await;
    let found: Vec<_> = lines.iter().map(|line| (&line["source"], &line["message"])).collect();
    let text = |text: &str| Value::from(text);
    let expected = [("stdout", "out"), ("stderr", "err"), ("stdout", "last")];
    let expected = expected.map(|(source, message)| (text(source), text(message)));
    assert_eq!(found, expected.iter().map(|(a, b)| (a, b)).collect::<Vec<_>>());
    let worker = worker(&server).await;
    assert_eq!((&worker["state"], &worker["exitCode"]), (&text("FAILED"), &3.into()));
    assert_eq!(tail_code(&server).await, Some(1));
}

#[tokio::test]
async fn a_command_that_succeeds_is_completed_with_0() {
    let (_dir, server) = server().await;
    let pushed = push(&server.grpc_url(), &["--quiet", "--", "echo", "hello"], b"").await;
    assert_eq!((pushed.status.code(), said(&pushed).as_str()), (Some(0), ""));
    let worker = worker(&server).await;
    assert_eq!((&worker["state"], &worker["exitCode"]), (&"COMPLETED".into(), &0.into()));
    assert_eq!(tail_code(&server).await, Some(0));
}

#[tokio::test]
async fn signals_reach_the_command_and_it_is_told_as_terminated() {
    for (name, number) in [("TERM", 15), ("HUP", 1)] {
        let (_dir, server) = server().await;
        let mut command = binary();
        command.args(["push", "--to", &server.grpc_url(), "--task=t", "--worker=w", "--tee"]);
        command.args(["--", "sh", "-c", "echo ready; exec sleep 600"]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        within("the command", stdout.read_line(&mut line)).await.unwrap();
        let id = child.id().unwrap().to_string();
        let sent = tokio::process::Command::new("kill").args(["-s", name, &id]).status().await;
        assert!(sent.unwrap().success());
        let ended = within("the push", child.wait()).await.unwrap();
        assert_eq!(ended.code(), Some(128 + number));
        let worker = worker(&server).await;
        assert_eq!((&worker["state"], &worker["exitCode"]), (&"TERMINATED".into(), &Value::Null));
        assert_eq!(tail_code(&server).await, Some(6));
    }
}

#[tokio::test]
async fn a_command_that_cannot_be_started_is_named_and_ends_with_127() {
    let (_dir, server) = server().await;
    let pushed = push(&server.grpc_url(), &["--", "no-such-command-here", "-j8"], b"").await;
    assert_eq!(pushed.status.code(), Some(127));
    let expected = "\"no-such-command-here\": the command cannot be started: No such file";
    assert!(said(&pushed).contains(expected), "{}", said(&pushed));
    let worker = worker(&server).await;
    assert_eq!((&worker["state"], &worker["exitCode"]), (&"FAILED".into(), &127.into()));
}

#[tokio::test]
async fn with_pty_the_command_sees_a_terminal() {
    let (_dir, server) = server().await;
    let script = "test -t 1 && test -t 2 && echo terminal; exit 4";
    let pushed = push(&server.grpc_url(), &["--pty", "--", "sh", "-c", script], b"").await;
    assert_eq!(pushed.status.code(), Some(4), "{}", said(&pushed));
    let lines = ndjson(|path| server.api(path), "t").await;
    assert_eq!((lines.len(), &lines[0]["message"]), (1, &"terminal".into()));
}

#[tokio::test]
async fn what_a_command_leaves_behind_does_not_hold_push_up() {
    let (_dir, server) = server().await;
    let started = Instant::now();
    let script = "sleep 60 & echo done";
    let pushed = push(&server.grpc_url(), &["--", "sh", "-c", script], b"").await;
    assert_eq!(pushed.status.code(), Some(0), "{}", said(&pushed));
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!(ndjson(|path| server.api(path), "t").await.len(), 1);
}

#[tokio::test]
async fn tail_says_at_once_that_there_is_no_such_task_and_gives_up_on_a_dead_server() {
    let (_dir, server) = server().await;
    let url = format!("http://{}", server.http);
    let unknown = run(&["tail", "--url", &url, "typo", "--no-follow"], b"").await;
    assert_eq!(unknown.status.code(), Some(4));
    assert!(said(&unknown).contains("there is no task typo"), "{}", said(&unknown));
    let dead = nobody().await;
    let gave_up = run(&["tail", "--url", &dead, "t", "--give-up-after", "1s"], b"").await;
    assert_eq!(gave_up.status.code(), Some(5), "{}", said(&gave_up));
    let wrong = run(&["tail", "--url", "nowhere", "t"], b"").await;
    assert_eq!(wrong.status.code(), Some(2));
    assert!(said(&wrong).contains("'nowhere'"), "{}", said(&wrong));
}

#[tokio::test]
async fn lines_and_statuses_come_in_the_logs_order_into_one_file() {
    let (_dir, server) = server().await;
    push(&server.grpc_url(), &[], b"one\ntwo\n").await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let append = || std::fs::OpenOptions::new().append(true).open(file.path()).unwrap();
    let mut command = binary();
    command.args(["tail", "--quiet", "--url", &format!("http://{}", server.http), "t"]);
    command.stdout(append()).stderr(append());
    assert!(within("tail", command.status()).await.unwrap().success());
    let printed = std::fs::read_to_string(file.path()).unwrap();
    let at = |text: &str| printed.find(text).unwrap();
    assert!(at("w is RUNNING") < at("one\ntwo\n"), "{printed}");
    assert!(at("one\ntwo\n") < at("w is COMPLETED"), "{printed}");
}

#[tokio::test]
async fn lines_of_one_burst_have_times_of_their_own() {
    let (_dir, server) = server().await;
    let input: String = (0..500).map(|turn| format!("{turn}\n")).collect();
    push(&server.grpc_url(), &[], input.as_bytes()).await;
    let lines = ndjson(|path| server.api(path), "t").await;
    let times: Vec<_> = lines.iter().map(|line| line["timestamp"].as_str().unwrap()).collect();
    assert_eq!(times.len(), 500);
    assert!(times.is_sorted_by(|a, b| a < b));
}

/// The address of a server that is not there.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn a_dead_server_neither_kills_nor_fails_a_build_unless_the_log_is_required() {
    let input = "a line of a build\n".repeat(20_000);
    let to = nobody().await;
    let patience = ["--give-up-after", "300ms", "--window", "4KiB", "--tee"];
    for (required, code) in [(None, 0), (Some("--required"), 5)] {
        let mut arguments = patience.to_vec();
        arguments.extend(required);
        let piped = push(&to, &arguments, input.as_bytes()).await;
        assert_eq!(piped.status.code(), Some(code), "{}", said(&piped));
        assert!(piped.stdout == input.as_bytes(), "the input was not read to its end");
        assert!(said(&piped).contains("20000 lines were not delivered"), "{}", said(&piped));
        let script = "for i in $(seq 3000); do echo a line of a build; done; echo end >&2";
        arguments.extend(["--", "sh", "-c", script]);
        let ran = push(&to, &arguments, b"").await;
        assert_eq!(ran.status.code(), Some(code), "{}", said(&ran));
        assert!(said(&ran).contains("end\n"), "{}", said(&ran));
        assert!(said(&ran).contains("3001 lines were not delivered"), "{}", said(&ran));
    }
    let failing =
        push(&to, &[&patience[..], &["--", "sh", "-c", "exit 9"][..]].concat(), b"").await;
    assert_eq!(failing.status.code(), Some(9), "{}", said(&failing));
}

#[tokio::test]
async fn arguments_that_cannot_be_used_are_named_before_anything_runs() {
    for (arguments, expected) in [
        (&["--to", "ftp://x"][..], "ftp://x"),
        (&["--to", "http://127.0.0.1:1", "--viewer", "nowhere"][..], "'nowhere'"),
        (&["--window=-1"][..], "-1"),
        (&["--give-up-after=-3s"][..], "-3s"),
    ] {
        let base = ["push", "--task", "t", "--worker", "w", "--tee"];
        let refused = run(&[&base[..], arguments, &["--", "echo", "ran"][..]].concat(), b"").await;
        assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
        assert!(said(&refused).contains(expected), "{}", said(&refused));
        assert_eq!(refused.stdout, b"");
    }
}
