//! History: pages of JSON, NDJSON and text.

use serde_json::Value;

use super::support::{Server, json, refusal, soon};
use crate::domain::WorkerState;

async fn server_with(lines: usize) -> Server {
    let server = Server::start().await;
    let messages: Vec<String> = (1..=lines).map(|n| n.to_string()).collect();
    for chunk in messages.chunks(100) {
        let chunk: Vec<&str> = chunk.iter().map(String::as_str).collect();
        server.push("build", "w", &chunk).await;
        server.push("other", "w", &["between"]).await;
    }
    server
}

fn lines(page: &Value) -> Vec<u64> {
    page["lines"].as_array().unwrap().iter().map(|entry| entry["line"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_page_holds_the_lines_asked_for_and_says_where_the_next_begins() {
    let server = server_with(250).await;
    for (query, first, last, next) in [
        ("", 1, 250, None),
        ("?limit=10", 1, 10, Some(10)),
        ("?afterLine=95&limit=10", 96, 105, Some(105)),
        ("?afterLine=240", 241, 250, None),
        ("?afterLine=240&limit=10", 241, 250, None),
        ("?beforeLine=105&limit=10", 95, 104, None),
        ("?beforeLine=5", 1, 4, None),
        ("?afterLine=10&beforeLine=20", 11, 19, None),
        ("?afterLine=10&beforeLine=20&limit=5", 11, 15, Some(15)),
        ("?tail=3", 248, 250, None),
        ("?tail=200", 51, 250, None),
        ("?tail=3&beforeLine=100", 97, 99, None),
        ("?tail=3&limit=2", 248, 249, Some(249)),
    ] {
        let page = server.json(&format!("/tasks/build/logs{query}")).await;
        let expected: Vec<u64> = (first..=last).collect();
        assert_eq!(lines(&page), expected, "{query}");
        assert_eq!((&page["firstLine"], &page["lastLine"]), (&first.into(), &last.into()));
        assert_eq!(page["nextAfterLine"].as_u64(), next, "{query}");
        assert_eq!((&page["taskId"], &page["totalLines"]), (&"build".into(), &250.into()));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_page_beyond_the_end_is_empty() {
    let server = server_with(3).await;
    for query in ["afterLine=3", "afterLine=18446744073709551615", "beforeLine=1", "tail=0"] {
        let page = server.json(&format!("/tasks/build/logs?{query}")).await;
        assert_eq!(lines(&page), [0u64; 0], "{query}");
        assert_eq!(page["firstLine"], Value::Null);
        assert_eq!(page["nextAfterLine"], Value::Null);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_filtered_page_holds_what_passes_and_goes_on_after_the_last_line_examined() {
    let server = Server::start().await;
    for n in 0..10 {
        server.push_at("build", if n % 3 == 0 { "ERROR" } else { "INFO" }, "m").await;
    }
    let page = server.json("/tasks/build/logs?level=error&limit=2").await;
    assert_eq!(lines(&page), [1, 4]);
    assert_eq!(page["nextAfterLine"], 4);
    let page = server.json("/tasks/build/logs?level=error&limit=2&afterLine=4").await;
    assert_eq!(lines(&page), [7, 10]);
    assert_eq!(page["nextAfterLine"], Value::Null);
    server.stop().await;
}

#[tokio::test]
async fn a_page_of_long_lines_keeps_those_at_the_end_that_was_asked_for() {
    let server = Server::start().await;
    let line = "x".repeat(1 << 20);
    for _ in 0..10 {
        server.push("build", "w", &[&line]).await;
    }
    let page = server.json("/tasks/build/logs").await;
    let count = lines(&page).len() as u64;
    assert!((7..=8).contains(&count), "{count} lines of a MiB");
    assert_eq!(page["nextAfterLine"], count);
    for query in ["beforeLine=10", "tail=9&beforeLine=10"] {
        let page = server.json(&format!("/tasks/build/logs?{query}")).await;
        assert_eq!((&page["firstLine"], &page["lastLine"]), (&3.into(), &9.into()), "{query}");
        assert_eq!(page["nextAfterLine"], Value::Null);
    }
    server.stop().await;
}

#[tokio::test]
async fn text_is_byte_for_byte_what_was_pushed() {
    let server = Server::start().await;
    let messages = [
        "plain",
        "",
        "  tabs\tand \"quotes\" \\ ",
        "\u{1b}[31mred\u{1b}[0m\r",
        "ünï\u{2028}côdé 🦀",
        "two\nlines",
        "nul \0 and \u{7f}",
    ];
    server.push("build", "w", &messages).await;
    server.push_status("build", "w", WorkerState::Completed).await;
    server.push_gap("build", 1).await;
    let request = server.api("/tasks/build/logs").header("accept", "text/plain");
    let response = soon(request.send()).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert!(!response.headers().contains_key("content-disposition"));
    let text = soon(response.bytes()).await.unwrap();
    let lines: String = messages.iter().flat_map(|message| [message, "\n"]).collect();
    let expected = format!("{lines}--- 1 line is missing here: too_large ---\n");
    assert_eq!(text, expected.as_bytes());
    let omitted = server.get("/tasks/build/logs?format=text&gaps=omit").await;
    assert_eq!(soon(omitted.bytes()).await.unwrap(), lines.as_bytes());
    server.stop().await;
}

#[tokio::test]
async fn ndjson_holds_every_line_of_a_long_task_and_can_be_a_download() {
    let server = server_with(20_000).await;
    let response = server.get("/tasks/build/logs?format=ndjson&download=true").await;
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    assert_eq!(response.headers()["content-disposition"], "attachment; filename=\"build.ndjson\"");
    let body = soon(response.bytes()).await.unwrap();
    let mut line = 0;
    for entry in body.split(|byte| *byte == b'\n').filter(|entry| !entry.is_empty()) {
        line += 1;
        let entry: Value = serde_json::from_slice(entry).unwrap();
        assert_eq!((&entry["line"], &entry["message"]), (&line.into(), &line.to_string().into()));
    }
    assert_eq!(line, 20_000);
    let few = server.get("/tasks/build/logs?format=text&afterLine=150&limit=2").await;
    assert_eq!(soon(few.bytes()).await.unwrap(), "151\n152\n".as_bytes());
    server.stop().await;
}

#[tokio::test]
async fn history_refuses_bad_parameters_and_unknown_tasks() {
    let server = server_with(1).await;
    for (query, expected) in [
        ("limit=10001", "limit is \"10001\", it must be a whole number from 1 to 10000"),
        ("limit=0", "from 1 to 10000"),
        ("format=xml", "format is \"xml\", it must be json, ndjson, text or plain"),
        ("beforeLine=0", "it must be a whole number from 1 on"),
        ("afterLine=x", "afterLine is \"x\""),
        ("download=1", "it must be true or false"),
        ("gaps=no", "gaps is \"no\", it must be show or omit"),
        ("from=now", "\"from\" is not a parameter here"),
    ] {
        let response = server.get(&format!("/tasks/build/logs?{query}")).await;
        let detail = refusal(response, 400).await;
        assert!(detail.contains(expected), "{query}: {detail}");
    }
    let detail = refusal(server.get("/tasks/nobody/logs").await, 404).await;
    assert_eq!(detail, "task \"nobody\" has no log here");
    server.stop().await;
}

#[tokio::test]
async fn tasks_are_listed_newest_first_page_by_page() {
    let server = Server::start().await;
    for n in 0..5 {
        server.push(&format!("build-{n}"), "w", &["line"]).await;
    }
    server.push_status("build-1", "w", WorkerState::Completed).await;
    let ids = |page: &Value| -> Vec<String> {
        let tasks = page["tasks"].as_array().unwrap().iter();
        tasks.map(|task| task["taskId"].as_str().unwrap().to_owned()).collect()
    };
    let first = server.json("/tasks?limit=2").await;
    assert_eq!(ids(&first), ["build-1", "build-4"]);
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = server.json(&format!("/tasks?limit=3&cursor={cursor}")).await;
    assert_eq!(ids(&second), ["build-3", "build-2", "build-0"]);
    assert_eq!((&second["nextCursor"], &second["next"]), (&Value::Null, &Value::Null));
    assert_eq!(first["next"], first["nextCursor"]);
    assert_eq!(ids(&server.json("/tasks?state=complete").await), ["build-1"]);
    assert_eq!(ids(&server.json("/tasks?state=running").await).len(), 4);
    for (query, expected) in [
        ("limit=1001", "from 1 to 1000"),
        ("cursor=00000000-1", "it must be the nextCursor of a page before"),
        ("cursor=x", "it must be the nextCursor of a page before"),
        ("state=x", "it must be running or complete"),
        ("q=x", "\"q\" is not a parameter here"),
    ] {
        let detail = refusal(server.get(&format!("/tasks?{query}")).await, 400).await;
        assert!(detail.contains(expected), "{query}: {detail}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_task_is_shown_with_its_state_lines_times_and_workers() {
    let server = Server::start().await;
    server.push("build", "w1", &["a", "b"]).await;
    server.push("build", "w2", &["c"]).await;
    server.push_gap("build", 2).await;
    server.push_status("build", "w1", WorkerState::Failed).await;
    let task = server.json("/tasks/build").await;
    assert_eq!((&task["state"], &task["failed"]), (&"running".into(), &true.into()));
    assert_eq!((&task["firstLine"], &task["lines"]), (&1.into(), &3.into()));
    assert_eq!(task["lostLines"], 2);
    assert!(task["bytes"].as_u64().unwrap() > 0);
    for time in ["firstTime", "lastTime"] {
        task[time].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    }
    let w2 = serde_json::json!({
        "workerId": "w2", "lines": 1, "cut": 0, "missing": 0, "exitCode": null, "state": null,
    });
    assert_eq!(task["workers"][0]["state"], "FAILED");
    assert_eq!(task["workers"][1], w2);
    let detail = refusal(server.get("/tasks/nobody").await, 404).await;
    assert_eq!(detail, "task \"nobody\" has no log here");
    let unknown = json(server.get("/tasks/build?x=1").await).await;
    assert_eq!(unknown["code"], "unknown_parameter");
    server.stop().await;
}
