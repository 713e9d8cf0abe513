//! Lines that are too long for one entry: kept in parts, read as one line.

use otto_handler::proto::ottoscaler::WorkerLogEntry;
use otto_handler::proto::ottoscaler::log_forward_response::Status;
use serde_json::Value;

use crate::support::{
    Process, Producer, Reader, TestServer, connect, entry, get, json, ndjson, run, text, within,
};

const SMALL: [&str; 2] = ["--max-entry-bytes=1KiB", "--max-line-bytes=1MiB"];

/// A line of these many bytes that says where in it a byte stands.
fn line(bytes: usize) -> String {
    let mut line: String = (0..).map(|turn| format!("ü{turn} ")).take(bytes / 3).collect();
    line.truncate(line.floor_char_boundary(bytes));
    line
}

fn numbered(message: &str, seq: u64) -> WorkerLogEntry {
    let metadata = [("otto.session", "s".to_owned()), ("otto.seq", seq.to_string())];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value)).into();
    WorkerLogEntry { metadata, ..entry("t", message) }
}

/// The numbers, parts and lengths of the entries, one after another.
fn places(entries: &[Value]) -> Vec<(u64, u64, u64)> {
    let number = |entry: &Value, name: &str| entry[name].as_u64().unwrap_or(0);
    let place =
        |entry: &Value| (number(entry, "line"), number(entry, "part"), number(entry, "parts"));
    entries.iter().map(place).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_of_megabytes_go_through_push_and_come_back_as_single_lines() {
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start(&dir.path().join("data"), &[], None).await;
    let (mebibyte, head) = (1 << 20, (16 << 20) - 1024);
    let lines = [line(1_500_000), line(5_000_000), "between".to_owned(), line(17 * mebibyte)];
    let input = lines.join("\n") + "\n";
    let (url, http) = (server.grpc_url(), format!("http://{}", server.http));
    let push = ["push", "--to", &url, "--task", "t", "--worker", "w"];
    let pushed = run(&push, input.as_bytes()).await;
    let said = String::from_utf8_lossy(&pushed.stderr);
    assert_eq!(pushed.status.code(), Some(0), "{said}");
    assert!(said.contains("4 kept, 0 dropped"), "{said}");

    let [first, second, third, long] = &lines;
    let kept = &long[..long.floor_char_boundary(head)];
    let (whole, kept_bytes) = (long.len(), kept.len());
    let mark = format!(" [… cut: the line has {whole} bytes, of which {kept_bytes} are kept]");
    let expected = format!("{first}\n{second}\n{third}\n{kept}{mark}\n");
    let read = text(|path| server.api(path), "t").await;
    assert!(read == expected, "{} bytes, not {}", read.len(), expected.len());
    let tailed = run(&["tail", "--url", &http, "--task", "t"], b"").await;
    assert!(tailed.stdout == expected.into_bytes(), "tail printed {}", tailed.stdout.len());

    let task = json(&server.api("/tasks/t")).await;
    assert_eq!((&task["lines"], &task["lostLines"]), (&4.into(), &0.into()));
    let entries = ndjson(|path| server.api(path), "t").await;
    let first_two = [(1, 1, 2), (1, 2, 2), (2, 1, 5), (2, 2, 5)];
    assert_eq!(places(&entries)[..4], first_two);
    assert_eq!(entries.last().unwrap()["line"], 4);
    server.kill().await;
}

#[tokio::test]
async fn every_reader_gets_the_parts_in_a_row_under_one_number_also_after_a_restart() {
    let server = TestServer::start_with(&SMALL).await;
    let mut client = connect(&server.grpc()).await;
    let mut producer = Producer::open(&mut client).await;
    let mut other = Producer::open(&mut client).await;
    let long = line(2500);
    producer.push_all(1, vec![numbered("before", 1), numbered(&long, 2)]).await;
    let of_other = WorkerLogEntry { worker_id: "other".into(), ..entry("t", &line(1200)) };
    other.push_all(1, vec![of_other]).await;
    producer.push_all(3, vec![numbered("behind", 3)]).await;
    // What is sent again is kept once, with all its parts.
    let mut again = Producer::open(&mut client).await;
    again.push_all(1, vec![numbered(&long, 2), numbered("behind", 3)]).await;
    for producer in [producer, other, again] {
        producer.finish().await;
    }

    let expected = format!("before\n{long}\n{}\nbehind\n", line(1200));
    let all = [(1, 0, 0), (2, 1, 3), (2, 2, 3), (2, 3, 3), (3, 1, 2), (3, 2, 2), (4, 0, 0)];
    let (dir, stopped) = {
        check(&server, &expected, &all).await;
        server.begin_stop()
    };
    within("the shutdown", stopped).await.unwrap().unwrap();
    let server = TestServer::start_in(dir, &SMALL, |_| {}).await;
    check(&server, &expected, &all).await;
    // A stream that was cut off within a line goes on with its next part.
    let mut reader = Reader::open(&server.api("/stream/t?follow=false")).await;
    reader.logs(2).await;
    let id = reader.last_event_id().to_owned();
    let rest = Reader::resume(&server.api("/stream/t?follow=false"), &id).await.logs_to_end().await;
    let rest: Vec<Value> =
        rest.iter().map(|log| serde_json::from_str(&log.data).unwrap()).collect();
    assert_eq!(places(&rest), all[2..]);
}

async fn check(server: &TestServer, expected: &str, all: &[(u64, u64, u64)]) {
    assert_eq!(text(|path| server.api(path), "t").await, expected);
    assert_eq!(places(&ndjson(|path| server.api(path), "t").await), all);
    let task = json(&server.api("/tasks/t")).await;
    assert_eq!((&task["lines"], &task["lostLines"]), (&4.into(), &0.into()));
    for path in ["/stream/t?follow=false", "/stream?from=start&follow=false"] {
        let logs = Reader::open(&server.api(path)).await.logs_to_end().await;
        let logs: Vec<Value> =
            logs.iter().map(|log| serde_json::from_str(&log.data).unwrap()).collect();
        assert_eq!(places(&logs), all, "{path}");
    }
    let page = |query: &str| json_page(server, query.to_owned());
    assert_eq!(page("limit=2").await, (all[..4].to_vec(), Value::from(2)));
    assert_eq!(page("afterLine=2&limit=1").await, (all[4..6].to_vec(), Value::from(3)));
    assert_eq!(page("tail=2").await, (all[4..].to_vec(), Value::Null));
    assert_eq!(page("beforeLine=3&limit=1").await, (all[1..4].to_vec(), Value::Null));
    let long = expected.split('\n').nth(1).unwrap();
    let limited = get(&server.api("/tasks/t/logs?format=text&limit=1&afterLine=1"), None).await;
    assert_eq!(limited.text().await.unwrap(), format!("{long}\n"));
}

async fn json_page(server: &TestServer, query: String) -> (Vec<(u64, u64, u64)>, Value) {
    let mut page = json(&server.api(&format!("/tasks/t/logs?{query}"))).await;
    (places(page["lines"].as_array().unwrap()), page["nextAfterLine"].take())
}

#[tokio::test]
async fn a_word_anywhere_in_a_line_finds_all_of_it() {
    let server = TestServer::start_with(&SMALL).await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    let with = |word: &str, at: usize| format!("{}{word}{}", "x".repeat(at), "y".repeat(2500 - at));
    let lines = [with("Needle", 100), with("needle", 2400), with("hay", 700), "needle".to_owned()];
    producer.push_all(1, lines.iter().map(|line| entry("t", line)).collect()).await;
    // Where the parts are cut a word is found too.
    let entries = ndjson(|path| server.api(path), "t").await;
    let cut = entries[0]["message"].as_str().unwrap().len();
    let across = with("across", cut - 3);
    producer.push_all(5, vec![entry("t", &across)]).await;
    let found = async |query: &str| {
        let text = get(&server.api(&format!("/tasks/t/logs?format=text&{query}")), None).await;
        let text = text.text().await.unwrap();
        let stream = format!("/stream/t?follow=false&{query}");
        let logs = Reader::open(&server.api(&stream)).await.logs_to_end().await;
        let messages: String = crate::support::messages(&logs).concat();
        assert_eq!(messages, text.replace('\n', ""), "{query}");
        text
    };
    let [first, second, _, last] = &lines;
    assert_eq!(found("keywords=needle").await, format!("{first}\n{second}\n{last}\n"));
    assert_eq!(found("keywords=across").await, format!("{across}\n"));
    assert_eq!(found("keywords=across&level=ERROR").await, "");
    let limited = get(&server.api("/tasks/t/logs?format=text&keywords=needle&limit=1"), None).await;
    assert_eq!(limited.text().await.unwrap(), format!("{first}\n"));
}

#[tokio::test]
async fn a_message_above_the_transports_limit_leaves_a_gap_with_its_bytes_and_others_flow_on() {
    let server = TestServer::start_with(&["--max-line-bytes=2MiB"]).await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    producer.push_all(1, vec![entry("t", "before")]).await;
    producer.send(entry("t", &line(5 << 20))).await;
    let refused = producer.response().await;
    let reason = refused.message.clone();
    assert_eq!((refused.status(), refused.sequence), (Status::Drop, 2));
    assert!(reason.starts_with("a message is 5242"), "{reason}");
    assert!(reason.ends_with("bytes, the limit is 4194304"), "{reason}");
    // Above the longest line, but not above the transport's limit: its head is kept.
    let long = line(3 << 20);
    producer.push_all(3, vec![entry("t", &long), entry("t", "behind")]).await;
    let kept = &long[..long.floor_char_boundary(2 << 20)];
    let (bytes, kept_bytes) = (long.len(), kept.len());
    let gap = format!("--- 1 line is missing here: {reason} ---");
    let mark = format!(" [… cut: the line has {bytes} bytes, of which {kept_bytes} are kept]");
    let read = text(|path| server.api(path), "t").await;
    assert!(read == format!("before\n{gap}\n{kept}{mark}\nbehind\n"), "{} bytes", read.len());
    let entries = ndjson(|path| server.api(path), "t").await;
    assert_eq!(entries[2]["metadata"]["otto.line_bytes"], bytes.to_string());
    assert_eq!(json(&server.api("/tasks/t")).await["lostLines"], 1);
    producer.finish().await;
}
