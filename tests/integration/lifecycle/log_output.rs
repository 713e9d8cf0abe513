//! A log that cannot be written changes nothing.

use std::fs::OpenOptions;
use std::process::Stdio;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use crate::support::{Process, Producer, binary, connect, entry, get};

const FLAGS: [&str; 4] =
    ["--auth=none", "--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0", "--log=trace"];

async fn start(stderr: impl Into<Stdio>) -> (tempfile::TempDir, Process) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Process::start_logging_to(stderr, binary(), &data, &FLAGS).await;
    (dir, server)
}

/// Pushes lines, asks for readiness and stops.
async fn works(server: Process) {
    let mut producer = Producer::open(&mut connect(&server.grpc_url()).await).await;
    producer.push_all(1, (0..500).map(|_| entry("t", "line")).collect()).await;
    let ready = get(&format!("http://{}/readyz", server.http), None).await;
    assert!(ready.status().is_success());
    assert_eq!(server.terminate().await, Some(0));
}

#[tokio::test]
async fn a_reader_of_the_log_that_went_away_changes_nothing() {
    let (sender, receiver) = pipe::pipe().unwrap();
    drop(receiver);
    let (_dir, server) = start(sender.into_blocking_fd().unwrap()).await;
    works(server).await;
}

#[tokio::test]
async fn a_full_device_changes_nothing() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (_dir, server) = start(full).await;
    works(server).await;
}

#[tokio::test]
async fn a_pipe_that_nobody_reads_changes_nothing() {
    let (sender, receiver) = pipe::pipe().unwrap();
    let (_dir, server) = start(sender.into_blocking_fd().unwrap()).await;
    works(server).await;
    drop(receiver);
}

#[tokio::test]
async fn lines_lost_while_nobody_read_are_told_once_somebody_reads() {
    let (sender, mut receiver) = pipe::pipe().unwrap();
    let (_dir, server) = start(sender.into_blocking_fd().unwrap()).await;
    let mut producer = Producer::open(&mut connect(&server.grpc_url()).await).await;
    // At --log=trace an entry makes several lines: more than the pipe and the queue hold.
    producer.push_all(1, (0..4000).map(|_| entry("t", "line")).collect()).await;
    let reading = tokio::spawn(async move {
        let mut log = Vec::new();
        receiver.read_to_end(&mut log).await.unwrap();
        String::from_utf8_lossy(&log).into_owned()
    });
    assert_eq!(server.terminate().await, Some(0));
    let log = reading.await.unwrap();
    assert!(log.contains("lines of this log could not be written"), "{} bytes", log.len());
    assert!(log.contains("shut down, everything received is kept"));
}

#[tokio::test]
async fn a_standard_output_that_nobody_reads_does_not_keep_the_server_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    let (sender, receiver) = pipe::pipe().unwrap();
    drop(receiver);
    let mut command = binary();
    command.args(["serve", "--print-addrs", "--data-dir"]).arg(dir.path().join("data"));
    command.args(FLAGS).stdout(sender.into_blocking_fd().unwrap()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let mut log = String::new();
    while !log.contains("the addresses could not be printed") {
        let mut part = [0; 4096];
        let bytes = stderr.read(&mut part).await.unwrap();
        assert!(bytes > 0, "it ended: {log}");
        log.push_str(&String::from_utf8_lossy(&part[..bytes]));
    }
    child.kill().await.unwrap();
}
