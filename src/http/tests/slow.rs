//! Viewers that read slowly, or late.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{Server, soon};
use crate::domain::TaskId;
use crate::http::HttpOptions;
use crate::store;

/// A viewer that asks for `build` and then reads only when told to; it is one of `viewers`.
async fn raw_viewer(server: &Server, viewers: usize) -> TcpStream {
    let address = server.base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "GET /api/v1/log-streaming/stream/build HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    server.until_viewers(viewers).await;
    stream
}

const PLENTY_LINES: usize = 24_000;

/// More than the two sockets' buffers take.
async fn push_plenty(server: &Server) {
    let line = "x".repeat(1000);
    for _ in 0..PLENTY_LINES / 1000 {
        server.push("build", "w", &vec![line.as_str(); 1000]).await;
    }
}

/// Reads until the last of the plenty, which must be the last thing sent.
async fn read_plenty(stream: &mut TcpStream) {
    let last = format!("\"line\":{PLENTY_LINES},");
    let mut got = vec![0; 1 << 20];
    let mut end = Vec::new();
    while !String::from_utf8_lossy(&end).contains(&last) {
        let count = soon(stream.read(&mut got)).await.unwrap();
        assert_ne!(count, 0, "the stream ended early");
        end.extend_from_slice(&got[..count]);
        end.drain(..end.len().saturating_sub(4096));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_takes_nothing_is_closed_and_others_are_not_harmed() {
    let viewer_stall_timeout = Duration::from_secs(1);
    let options = HttpOptions { viewer_stall_timeout, ..HttpOptions::default() };
    let server = Server::start_with(options).await;
    let mut stalled = raw_viewer(&server, 1).await;
    let mut other = raw_viewer(&server, 2).await;
    let reading = tokio::spawn(async move {
        read_plenty(&mut other).await;
        other
    });
    push_plenty(&server).await;
    let mut other = reading.await.unwrap();
    server.until_viewers(1).await;
    let mut got = Vec::new();
    // An end or a reset, whichever the kernel makes of it.
    let _ended = soon(stalled.read_to_end(&mut got)).await;
    assert!(got.len() < PLENTY_LINES * 1000, "{} bytes arrived", got.len());
    server.push("build", "w", &["live"]).await;
    assert_ne!(soon(other.read(&mut [0; 16])).await.unwrap(), 0);
    drop(other);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_reads_slowly_is_not_closed() {
    let viewer_stall_timeout = Duration::from_secs(1);
    let options = HttpOptions { viewer_stall_timeout, ..HttpOptions::default() };
    let server = Server::start_with(options).await;
    push_plenty(&server).await;
    let mut slow = raw_viewer(&server, 1).await;
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..25 {
        pace.tick().await;
        soon(slow.read_exact(&mut [0; 128 * 1024])).await.unwrap();
    }
    read_plenty(&mut slow).await;
    drop(slow);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_stops_for_a_while_gets_every_line_once_it_reads_again() {
    let server = Server::start().await;
    let mut events = server.events("/stream/build").await;
    push_plenty(&server).await;
    for line in 1..=PLENTY_LINES {
        assert_eq!(events.expect("log").await.json()["line"], line);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_is_told_what_retention_removed_and_gets_the_rest() {
    let server =
        Server::start_in(tempfile::tempdir().unwrap(), HttpOptions::default(), |options| {
            store::StoreOptions {
                segment_bytes: 64 * 1024,
                retention_bytes: Some(1 << 20),
                ..options
            }
        })
        .await;
    // Not compressible, or there would be nothing to drop.
    for _ in 0..40 {
        let noise = || (0..1000).map(|_| fastrand::alphanumeric()).collect::<String>();
        let lines: Vec<String> = (0..100).map(|_| noise()).collect();
        server.push("build", "w", &lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    let task = TaskId::new("build").unwrap();
    let dropped = async {
        while server.tasks.get(&task).await.unwrap().unwrap().summary.first_line == 1 {
            tokio::task::yield_now().await;
        }
    };
    soon(dropped).await;
    let mut events = server.events("/stream/build").await;
    let gap = events.expect("gap").await;
    assert_eq!((&gap.json()["from"], &gap.json()["reason"]), (&1.into(), &"retention".into()));
    let to = gap.json()["to"].as_u64().unwrap();
    assert!(gap.id.unwrap().ends_with(&format!("-{to}")));
    let mut next = to + 1;
    while next <= 4000 {
        let event = events.next().await.unwrap();
        match event.name.as_str() {
            "gap" => next = event.json()["to"].as_u64().unwrap() + 1,
            _ => {
                assert_eq!(event.json()["offset"], next);
                next += 1;
            }
        }
    }
    let view = server.json("/tasks/build").await;
    let first_line = view["firstLine"].as_u64().unwrap();
    assert_eq!(view["lostLines"], first_line - 1);
    let page = server.json("/tasks/build/logs?limit=1").await;
    assert!(page["firstLine"].as_u64().unwrap() >= first_line);
    drop(events);
    server.stop().await;
}
