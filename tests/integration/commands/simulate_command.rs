//! `simulate --push-to`: what it says of the lines is what the server keeps.

use std::process::Output;

use crate::support::{TestServer, json, ndjson, run};

/// Runs it as fast as the server takes the lines.
async fn simulate(server: &TestServer, more: &[&str]) -> Output {
    let to = server.grpc();
    let base = ["simulate", "--seed=7", "--rate=0", "--push-to", &to];
    run(&[&base[..], more].concat(), b"").await
}

/// Its last line.
fn summary(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned()
}

/// How many lines of both builds the server keeps.
async fn kept(server: &TestServer) -> usize {
    let mut kept = 0;
    for task in ["build-7-1", "build-7-2"] {
        let events = ndjson(|path| server.api(path), task).await;
        kept += events.iter().filter(|event| event["event"] != "gap").count();
    }
    kept
}

#[tokio::test]
async fn every_line_is_said_to_be_kept_and_is() {
    let server = TestServer::start().await;
    let simulated = simulate(&server, &[]).await;
    let kept = kept(&server).await;
    assert!(kept > 600, "{kept}");
    assert_eq!(summary(&simulated), format!("{kept} lines sent, {kept} kept"));
    assert_eq!(simulated.status.code(), Some(0));
}

#[tokio::test]
async fn lines_that_the_servers_limits_drop_are_counted_with_the_reason_and_end_it_with_5() {
    // An entry beside its message has more than 90 bytes: what is longer than 180 is dropped.
    let server = TestServer::start_changed(&[], |config| config.limits.entry_bytes = 180).await;
    let simulated = simulate(&server, &[]).await;
    let kept = kept(&server).await;
    let mut dropped = 0;
    for task in ["build-7-1", "build-7-2"] {
        let task = json(&server.api(&format!("/tasks/{task}"))).await;
        dropped += task["lostLines"].as_u64().unwrap();
    }
    assert!(kept > 0 && dropped > 0, "{kept} and {dropped}: {}", summary(&simulated));
    let sent = kept as u64 + dropped;
    let counts = format!("{sent} lines sent, {kept} kept, {dropped} dropped (the first reason: ");
    let said = summary(&simulated);
    assert!(said.starts_with(&counts), "{said:?}, and not {counts:?}");
    assert!(said.contains(" bytes without its message, the limit is 90"), "{said}");
    assert_eq!(simulated.status.code(), Some(5));
}

#[tokio::test]
async fn a_cancelled_stream_does_not_make_it_fail_and_nothing_unanswered_counts_as_kept() {
    let server = TestServer::start().await;
    let simulated = simulate(&server, &["--cancel"]).await;
    let said = summary(&simulated);
    let mut numbers = said.split(|other: char| !other.is_ascii_digit()).filter(|n| !n.is_empty());
    let mut number = || numbers.next().and_then(|number| number.parse::<usize>().ok());
    let (sent, acked) = (number().unwrap(), number().unwrap());
    assert_eq!(acked + number().unwrap_or(0), sent, "{said}");
    assert_eq!(simulated.status.code(), Some(0), "{said}");
    let kept = kept(&server).await;
    assert!((acked..=sent).contains(&kept), "{kept} of: {said}");
}
