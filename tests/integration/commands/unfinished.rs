//! Prompts, dots, progress: what a worker has written without a line feed.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};

use crate::support::{Process, Reader, binary, messages, text, within};

/// A `push` of the task `t`, and what it reads.
fn push(server: &Process) -> (Child, ChildStdin) {
    let mut command = binary();
    command.args(["push", "--to", &server.grpc_url(), "--task=t", "--worker=w", "--quiet"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    (child, stdin)
}

async fn server() -> (tempfile::TempDir, Process) {
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start(&dir.path().join("data"), &["--task-grace=0s"], None).await;
    (dir, server)
}

async fn message(reader: &mut Reader, name: &str) -> Value {
    loop {
        let event = reader.event().await;
        if event.event == name {
            let data: Value = serde_json::from_str(&event.data).unwrap();
            return data["message"].clone();
        }
    }
}

#[tokio::test]
async fn a_prompt_is_shown_while_it_waits_and_kept_once_as_the_line_that_it_becomes() {
    let (_dir, server) = server().await;
    let (mut push, mut stdin) = push(&server);
    let mut live = Reader::open(&server.api("/stream/t")).await;
    stdin.write_all(b"before\nProceed? [y/N] ").await.unwrap();
    assert_eq!(message(&mut live, "partial").await, "Proceed? [y/N] ");
    let resume_at = live.last_event_id().to_owned();
    // Whoever comes late, or comes again, sees it too; a filter hides what it names.
    let mut late = Reader::resume(&server.api("/stream/t"), &resume_at).await;
    let mut other = Reader::open(&server.api("/stream/t?keywords=nothing")).await;
    assert_eq!(message(&mut late, "partial").await, "Proceed? [y/N] ");
    stdin.write_all(b"y\nlast").await.unwrap();
    assert_eq!(message(&mut late, "log").await, "Proceed? [y/N] y");
    assert_eq!(message(&mut late, "partial").await, "last");
    drop(stdin);
    assert!(within("the push", push.wait()).await.unwrap().success());
    assert_eq!(messages(&live.logs_to_end().await), ["Proceed? [y/N] y", "last"]);
    while let Some(event) = other.next().await {
        assert_ne!(event.event, "partial");
    }
    assert_eq!(text(|path| server.api(path), "t").await, "before\nProceed? [y/N] y\nlast\n");
}

#[tokio::test]
async fn tail_shows_it_below_the_lines_in_a_terminal_until_the_line_is_finished() {
    let (_dir, server) = server().await;
    let (mut push, mut stdin) = push(&server);
    let (mut terminal, pts) = pty_process::open().unwrap();
    terminal.resize(pty_process::Size::new(24, 20)).unwrap();
    let url = format!("http://{}", server.http);
    let tail = pty_process::Command::new(env!("CARGO_BIN_EXE_otto-handler")).args([
        "tail",
        "--wait",
        "--quiet",
        "--color=never",
        "--url",
        &url,
        "t",
    ]);
    let mut tail = tail.spawn(pts).unwrap();
    stdin.write_all(b"before\n\x1b]0;title\x0750% of a very long line that goes on").await.unwrap();
    let mut shown = String::new();
    read_until(&mut terminal, &mut shown, "… line that goes on").await;
    stdin.write_all(b"\r100%\n").await.unwrap();
    read_until(&mut terminal, &mut shown, "\r\x1b[K100%").await;
    assert!(!shown.contains("title"), "{shown:?}");
    drop(stdin);
    assert!(within("the push", push.wait()).await.unwrap().success());
    read_until(&mut terminal, &mut shown, "t is complete, succeeded").await;
    assert!(within("tail", tail.wait()).await.unwrap().success());
}

async fn read_until(terminal: &mut pty_process::Pty, shown: &mut String, wanted: &str) {
    let reading = async {
        let mut chunk = [0; 1024];
        while !shown.contains(wanted) {
            let read = terminal.read(&mut chunk).await.unwrap();
            shown.push_str(&String::from_utf8_lossy(&chunk[..read]));
        }
    };
    within(wanted, reading).await;
}
