//! Where lines are missing, pages and downloads say so.

use serde_json::{Value, json};

use super::support::{Server, soon};
use crate::http::HttpOptions;
use crate::store::StoreOptions;

async fn text(server: &Server, query: &str) -> String {
    let response = server.get(&format!("/tasks/build/logs?{query}")).await;
    assert_eq!(response.status(), 200, "{query}");
    String::from_utf8(soon(response.bytes()).await.unwrap().into()).unwrap()
}

async fn ndjson(server: &Server, query: &str) -> Vec<Value> {
    let text = text(server, &format!("format=ndjson&{query}")).await;
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn page(server: &Server, query: &str) -> Value {
    server.json(&format!("/tasks/build/logs?{query}")).await
}

/// The lines `a`, `b` and `c`, with refused ones before, between and behind them.
async fn with_refused_lines() -> Server {
    let server = Server::start().await;
    server.push_gap("build", 1).await;
    server.push("build", "w", &["a", "b"]).await;
    server.push_gap("build", 2).await;
    server.push_gap("build", 3).await;
    server.push("build", "w", &["c"]).await;
    server.push_gap("build", 4).await;
    server
}

#[tokio::test]
async fn text_has_a_marker_line_where_lines_were_refused() {
    let server = with_refused_lines().await;
    let marker = |lines| format!("--- {lines} missing here: too_large ---\n");
    let expected = [
        &marker("1 line is"),
        "a\nb\n",
        &marker("2 lines are"),
        &marker("3 lines are"),
        "c\n",
        &marker("4 lines are"),
    ];
    assert_eq!(text(&server, "format=text").await, expected.concat());
    assert_eq!(text(&server, "format=text&gaps=omit").await, "a\nb\nc\n");
    // What is missing belongs to the line before it.
    assert_eq!(text(&server, "format=text&limit=1").await, [expected[0], "a\n"].concat());
    assert_eq!(text(&server, "format=text&afterLine=2").await, expected[4..].concat());
    let two = text(&server, "format=text&limit=2").await;
    assert_eq!(two, expected[..4].concat());
    assert_eq!(text(&server, "format=text&beforeLine=3").await, two);
    // A filter hides lines, not what is missing.
    assert_eq!(text(&server, "format=text&keywords=x").await.lines().count(), 4);
    server.stop().await;
}

#[tokio::test]
async fn ndjson_has_a_gap_object_and_a_page_a_list_of_gaps() {
    let server = with_refused_lines().await;
    let gap = |after_line, from, to, lines| {
        json!({ "afterLine": after_line, "from": from, "to": to, "lines": lines,
            "reason": "too_large", "workerId": "w" })
    };
    let all = ndjson(&server, "").await;
    let mut first = gap(0, 1, 1, 1);
    first["event"] = "gap".into();
    assert_eq!(all[0], first);
    let kinds: Vec<_> = all.iter().map(|entry| entry["event"].as_str().unwrap_or("line")).collect();
    assert_eq!(kinds, ["gap", "line", "line", "gap", "gap", "line", "gap"]);
    let whole = page(&server, "").await;
    // Those at one place for one reason are one.
    assert_eq!(whole["gaps"], json!([gap(0, 1, 1, 1), gap(2, 4, 5, 5), gap(3, 7, 7, 4)]));
    assert_eq!(page(&server, "limit=2").await["gaps"], json!([gap(0, 1, 1, 1), gap(2, 4, 5, 5)]));
    assert_eq!(page(&server, "tail=1").await["gaps"], json!([gap(3, 7, 7, 4)]));
    for query in ["gaps=omit", "afterLine=3", "beforeLine=2&afterLine=1"] {
        assert_eq!(page(&server, query).await.get("gaps"), None, "{query}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_task_without_any_line_says_what_was_refused() {
    let server = Server::start().await;
    server.push_gap("build", 7).await;
    let expected = "--- 7 lines are missing here: too_large ---\n";
    assert_eq!(text(&server, "format=text").await, expected);
    assert_eq!(page(&server, "").await["gaps"][0]["lines"], 7);
    server.stop().await;
}

/// A task of which retention has left the last lines, one a segment.
async fn with_retention() -> (Server, u64) {
    let retained =
        |options| StoreOptions { segment_chunks: 1, retention_bytes: Some(64 * 1024), ..options };
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_in(dir, HttpOptions::default(), retained).await;
    let message: String = std::iter::repeat_with(fastrand::alphanumeric).take(20_000).collect();
    let mut first = 1;
    while first < 10 {
        server.push("build", "w", &[&message]).await;
        first = server.json("/tasks/build").await["firstLine"].as_u64().unwrap();
    }
    // Without retention from here on: what is kept stays.
    let server = Server::start_in(server.stop().await, HttpOptions::default(), |same| same).await;
    let first = server.json("/tasks/build").await["firstLine"].as_u64().unwrap();
    (server, first)
}

#[tokio::test]
async fn what_retention_took_is_told_at_the_beginning_of_a_download_and_of_a_page() {
    let (server, first) = with_retention().await;
    let gap = |after_line: u64| json!([after_line, first - after_line - 1, "retention"]);
    let short = |gap: &Value| json!([gap["afterLine"], gap["lines"], gap["reason"]]);
    let all = ndjson(&server, "").await;
    assert_eq!((short(&all[0]), &all[1]["line"]), (gap(0), &first.into()));
    assert_eq!((&all[0]["event"], &all[0]["from"]), (&"gap".into(), &1.into()));
    let head = format!("--- {} lines are missing here: retention ---\n", first - 1);
    assert!(text(&server, "format=text").await.starts_with(&head));
    // A page tells what it misses of the lines that were asked for.
    assert_eq!(short(&page(&server, "limit=1").await["gaps"][0]), gap(0));
    assert_eq!(short(&page(&server, "afterLine=3").await["gaps"][0]), gap(3));
    let before = page(&server, &format!("beforeLine={first}&limit=4")).await;
    assert_eq!((&before["lines"], short(&before["gaps"][0])), (&json!([]), gap(first - 5)));
    let after = page(&server, &format!("afterLine={}", first - 1)).await;
    assert_eq!((after.get("gaps"), &after["firstLine"]), (None, &first.into()));
    server.stop().await;
}

/// Two hundred lines of one task, of which the limit on its bytes hides some, and one of another.
async fn with_a_trimmed_task() -> (Server, Value) {
    let limit = |options| StoreOptions { task_bytes: Some(20_000), ..options };
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_in(dir, HttpOptions::default(), limit).await;
    for n in 1..=200 {
        server.push("build", "w", &[&format!("line {n} {}", "x".repeat(100))]).await;
    }
    server.push("other", "w", &["whole"]).await;
    let trimmed = async {
        loop {
            let task = server.json("/tasks/build").await;
            if task["bytes"].as_u64().unwrap() <= 20_000 {
                return task;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let task = soon(trimmed).await;
    (server, task)
}

#[tokio::test]
async fn what_the_limit_on_a_task_hides_is_told_once_in_downloads_pages_and_streams() {
    let (server, task) = with_a_trimmed_task().await;
    let hidden = task["trimmedLines"].as_u64().unwrap();
    assert_eq!((task["lines"].as_u64(), task["lostLines"].as_u64()), (Some(200), Some(0)));
    let text = text(&server, "format=text").await;
    let lines: Vec<_> = text.lines().collect();
    let head = lines.iter().position(|line| line.starts_with("---")).unwrap() as u64;
    assert_eq!(
        lines[head as usize],
        format!("--- {hidden} lines are missing here: task_limit ---")
    );
    assert_eq!(lines.len() as u64, 200 - hidden + 1);
    assert!(lines[head as usize + 1].starts_with(&format!("line {} ", head + hidden + 1)));
    let entries = ndjson(&server, "").await;
    let gaps: Vec<_> = entries.iter().filter(|entry| entry["event"] == "gap").collect();
    assert_eq!(gaps.len(), 1);
    let gap = gaps[0];
    assert_eq!((gap["afterLine"].as_u64(), gap["lines"].as_u64()), (Some(head), Some(hidden)));
    let after = page(&server, &format!("afterLine={}", head + 1)).await;
    assert_eq!(after["firstLine"], head + hidden + 1);
    assert_eq!(after["gaps"][0]["lines"], hidden - 1);
    assert_eq!(page(&server, "tail=5").await.get("gaps"), None);
    let stats = server.json("/health").await;
    assert_eq!(stats["store"]["trimmedTasks"], 1, "{stats}");
    let other = server.json("/tasks/other").await;
    assert_eq!((other["trimmedLines"].as_u64(), other["lines"].as_u64()), (Some(0), Some(1)));
    // Now that the hub does not have all of it.
    let dir = server.stop().await;
    let server = Server::start_in(dir, HttpOptions::default(), |options| options).await;
    let stream = server.get("/stream/build?follow=false").await;
    let stream = String::from_utf8(soon(stream.bytes()).await.unwrap().into()).unwrap();
    assert_eq!(stream.matches("event: gap").count(), 1);
    assert_eq!(stream.matches("event: log").count() as u64, 200 - hidden);
    let told = format!("\"lines\":{hidden},\"reason\":\"task_limit\"");
    assert!(stream.contains(&told), "{told}");
    server.stop().await;
}
