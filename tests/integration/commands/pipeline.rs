//! The commands as a CI uses them: a build's output goes in by `push` and comes back whole.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::support::{Process, Reader, binary, messages, ndjson, run, text, within};

/// Output as builds make it: colours, blank lines, progress bars, several scripts, long lines.
fn build_output(lines: usize) -> String {
    let line = |turn: usize| match turn % 8 {
        0 => format!("\u{1b}[1m\u{1b}[32m   Compiling\u{1b}[0m crate-{turn} v0.{turn}.0"),
        1 => String::new(),
        2 => format!("\twarning: \"quoted\" and \\escaped\\ {turn}   "),
        3 => format!("10%\r50%\r100% {turn}\r"),
        4 => format!("テスト {turn} … ✓ übersetzung 🦀"),
        5 => format!("{turn} {}", "long ".repeat(turn % 200)),
        6 => format!("\u{7}\u{8}control characters {turn}"),
        _ => format!("event: log\u{2028}data: {{\"id\": {turn}}}"),
    };
    (0..lines).map(|turn| line(turn) + "\n").collect()
}

async fn push(server: &Process, more: &[&str], input: &[u8]) -> std::process::Output {
    let url = server.grpc_url();
    let base = ["push", "--to", &url, "--task", "t", "--worker", "w"];
    let arguments: Vec<_> = base.iter().chain(more).copied().collect();
    run(&arguments, input).await
}

#[tokio::test]
async fn a_builds_output_comes_back_byte_for_byte_by_sse_ndjson_text_and_tail() {
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start(&dir.path().join("data"), &[], None).await;
    let output = build_output(5000);
    let pushed = push(&server, &[], output.as_bytes()).await;
    assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));
    // Windows' line end is a line end.
    let output = output.replace("\r\n", "\n");

    assert_eq!(text(|path| server.api(path), "t").await, output);
    let message = |line: &Value| line["message"].as_str().unwrap().to_owned() + "\n";
    let lines = ndjson(|path| server.api(path), "t").await;
    assert_eq!(lines.iter().map(message).collect::<String>(), output);
    let streamed = Reader::open(&server.api("/stream/t")).await.logs_to_end().await;
    let streamed: String = messages(&streamed).iter().map(|line| line.clone() + "\n").collect();
    assert_eq!(streamed, output);

    let url = format!("http://{}", server.http);
    let tailed = run(&["tail", "--url", &url, "--task", "t", "--json"], b"").await;
    assert_eq!(tailed.status.code(), Some(0));
    let tailed = String::from_utf8(tailed.stdout).unwrap();
    let events = tailed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let (logs, others): (Vec<_>, Vec<_>) = events.partition(|event| event["event"] == "log");
    assert!(logs.iter().chain(&others).all(|event| event["id"].is_string()));
    let kinds: Vec<_> = others.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["status", "status", "complete"]);
    let tailed = logs.iter().map(message);
    assert_eq!(tailed.collect::<String>(), output);
}

#[tokio::test]
async fn a_push_survives_a_kill_of_the_server_and_loses_and_doubles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Process::start(&data, &[], None).await;
    let (grpc, http) = server.ports();
    let mut command = binary();
    command.args(["push", "--to", &server.grpc_url(), "--task", "t", "--worker", "w"]);
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut pushing = command.spawn().unwrap();
    let mut stdin = pushing.stdin.take().unwrap();
    let output = build_output(20_000);
    let (first, second) = output.as_bytes().split_at(output.len() / 2);
    stdin.write_all(first).await.unwrap();
    let mut reader = Reader::open(&server.api("/stream/t")).await;
    reader.logs(2000).await;
    server.kill().await;
    let writing = tokio::spawn({
        let second = second.to_owned();
        async move { stdin.write_all(&second).await.unwrap() }
    });
    let server = Process::start(&data, &[], Some((&grpc, &http))).await;
    let pushed = within("the push", pushing.wait_with_output()).await.unwrap();
    writing.await.unwrap();
    assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));
    assert_eq!(text(|path| server.api(path), "t").await, output.replace("\r\n", "\n"));
}

#[tokio::test]
async fn tail_ends_with_1_when_a_task_failed_and_push_with_5_when_a_required_line_was_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--max-entry-bytes=1KiB", "--max-line-bytes=1KiB"];
    let server = Process::start(&dir.path().join("data"), &flags, None).await;
    // Above what the transport takes.
    let input = format!("short\n{}\nshort again\n", "x".repeat(5 << 20));
    let pushed = push(&server, &["--status", "failed", "--required"], input.as_bytes()).await;
    let said = String::from_utf8_lossy(&pushed.stderr);
    assert_eq!(pushed.status.code(), Some(5), "{said}");
    assert!(said.contains("the limit is 4194304"), "{said}");
    let url = format!("http://{}", server.http);
    let tailed = run(&["tail", "--url", &url, "--task", "t"], b"").await;
    assert_eq!(tailed.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&tailed.stdout), "short\nshort again\n");
    let said = String::from_utf8_lossy(&tailed.stderr);
    assert!(said.contains("the limit is 4194304"), "the gap is not reported: {said}");
}

#[tokio::test]
async fn a_token_opens_the_tasks_that_it_names_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let secret = "0123456789abcdef0123456789abcdef";
    let flags = ["--jwt-secret", secret];
    let server = Process::start_with_auth(&dir.path().join("data"), &flags).await;
    for task in ["build-1", "other"] {
        let url = server.grpc_url();
        let pushed =
            run(&["push", "--to", &url, "--task", task, "--worker", "w"], b"hello\n").await;
        assert!(pushed.status.success());
    }
    let made =
        run(&["token", "--sub", "me", "--task", "build-*", "--jwt-secret", secret], b"").await;
    let token = String::from_utf8(made.stdout).unwrap();
    let url = format!("http://{}", server.http);
    let tail = async |task, token: &str| {
        run(&["tail", "--url", &url, "--task", task, "--token", token.trim()], b"").await
    };
    let own = tail("build-1", &token).await;
    assert_eq!((own.status.code(), &own.stdout[..]), (Some(0), &b"hello\n"[..]));
    assert_eq!(tail("other", &token).await.status.code(), Some(2));
    let nobody = tail("build-1", "nonsense").await;
    assert_eq!(nobody.status.code(), Some(2));
    let said = String::from_utf8_lossy(&nobody.stderr);
    assert!(said.contains("malformed"), "{said}");
}
