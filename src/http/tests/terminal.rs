//! What a terminal would have shown: text without escapes, and searching it.

use super::support::{Server, soon};

async fn text(server: &Server, query: &str) -> String {
    soon(server.get(&format!("/tasks/build/logs?{query}")).await.text()).await.unwrap()
}

async fn server_with(messages: &[&str]) -> Server {
    let server = Server::start().await;
    server.push("build", "w", messages).await;
    server
}

#[tokio::test]
async fn a_line_end_that_a_message_has_itself_is_not_doubled_in_text() {
    let server = server_with(&["hello\r\n", "Traceback:\n  at a\n  at b", "end\n"]).await;
    let expected = "hello\nTraceback:\n  at a\n  at b\nend\n";
    assert_eq!(text(&server, "format=text").await, expected);
    assert_eq!(text(&server, "format=plain").await, expected);
    assert_eq!(server.json("/tasks/build").await["lines"], 3);
    server.stop().await;
}

#[tokio::test]
async fn plain_text_is_what_a_terminal_shows_and_tells_gaps() {
    let bar: String = (0..=2000).map(|step| format!("\r[{step:>4}/2000]")).collect();
    let sent =
        ["\u{1b}[1;31merror\u{1b}[0m: no\u{7}", "Compiling foo\r\u{1b}[0m", "100%\rok", &bar, ""];
    let server = server_with(&sent).await;
    server.push_gap("build", 1).await;
    let response = server.get("/tasks/build/logs?format=plain&download=true").await;
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(response.headers()["content-disposition"], "attachment; filename=\"build.txt\"");
    let lines = "error: no\nCompiling foo\nok0%\n[2000/2000]\n\n";
    let expected = format!("{lines}--- 1 line is missing here: too_large ---\n");
    assert_eq!(soon(response.text()).await.unwrap(), expected);
    server.stop().await;
}

#[tokio::test]
async fn keywords_are_looked_for_in_what_a_terminal_shows() {
    let cargo = "\u{1b}[1m\u{1b}[31merror\u{1b}[0m\u{1b}[1m: missing crate\u{1b}[0m";
    let server = server_with(&[cargo, "4\rexpected 3, found 2", "10%\rdone", "found"]).await;
    for (query, expected) in [
        ("keywords=error:%20missing", "error: missing crate\n"),
        ("keywords=3,%20found&keywords=", "expected 3, found 2\n"),
        ("keywords=3,%20found", "expected 3, found 2\nfound\n"),
        ("keywords=Done&keywords=MISSING", "error: missing crate\ndone\n"),
        // Neither what was overwritten nor the number of a colour is shown.
        ("keywords=10&keywords=31m", ""),
    ] {
        assert_eq!(text(&server, &format!("format=plain&{query}")).await, expected, "{query}");
        let stream = format!("/stream/build?follow=false&{query}");
        let found = soon(server.get(&stream).await.text()).await.unwrap();
        assert_eq!(found.matches("event: log").count(), expected.lines().count(), "{query}");
    }
    server.stop().await;
}
