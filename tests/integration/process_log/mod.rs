//! What the process's log says of clients, how often, and that it never has a token.

mod records;

use std::time::{Duration, Instant};

use otto_handler::client::https;
use otto_handler::http::{Claims, sign};
use otto_handler::proto::ottoscaler::WorkerLogEntry;
use serde_json::Value;

use crate::support::{Producer, Reader, connect, entry, get, numbered, with_token, within};
use records::LoggingServer;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Lines of one kind at once, and how far apart they are then.
const BURST: usize = 50;
const INTERVAL: Duration = Duration::from_millis(200);

fn token() -> String {
    let claims = Claims {
        sub: "somebody".into(),
        exp: u64::MAX >> 12,
        tasks: None,
        delete: false,
        push: false,
    };
    sign(SECRET.as_bytes(), &claims).unwrap()
}

fn with_auth() -> [String; 2] {
    ["--auth=jwt".into(), format!("--jwt-secret={SECRET}")]
}

/// How many lines may be logged of what began so long ago.
fn most_lines(began: Instant) -> usize {
    BURST + 1 + (began.elapsed().as_millis() / INTERVAL.as_millis()) as usize
}

#[tokio::test]
async fn a_push_stream_leaves_one_line_that_says_what_it_did_and_how_it_ended() {
    let server = LoggingServer::start(&["--auth=none"]).await;
    let mut client = connect(&server.process.grpc_url()).await;
    let mut producer = Producer::open(&mut client).await;
    producer.push_all(1, numbered("t", 3)).await;
    let unnamed = WorkerLogEntry { worker_id: String::new(), ..entry("t", "whose?") };
    producer.send(unnamed).await;
    producer.response().await;
    producer.push_all(5, vec![entry("u", "another task")]).await;
    producer.finish().await;
    let mut cut = Producer::open(&mut client).await;
    cut.push_all(1, numbered("cut", 1)).await;
    drop((cut, client));
    // Otherwise the shutdown may end it first.
    server.until_nobody_pushes().await;
    let records = server.stop().await;
    let ends = records.of("a push stream ended");
    let done = ends.iter().find(|end| end["end"] == "done").unwrap();
    assert_eq!((&done["task"], &done["worker"]), (&"t".into(), &"w".into()), "{done}");
    // Four lines and the gap for the fifth.
    assert_eq!([&done["tasks"], &done["kept"], &done["dropped"], &done["retried"]], [2, 5, 1, 0]);
    assert!(done["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{done}");
    assert!(done["seconds"].as_f64().unwrap() > 0.0, "{done}");
    let cut = ends.iter().find(|end| end["end"] == "cut").unwrap();
    // The line, and the gap for what was cut off.
    assert_eq!((&cut["task"], &cut["kept"]), (&"cut".into(), &2.into()), "{cut}");
    assert_eq!(ends.len(), 2, "{ends:?}");
    let drops = records.of("entries dropped");
    assert_eq!((&drops[0]["task"], &drops[0]["dropped"]), (&"t".into(), &1.into()));
    assert!(drops[0]["reason"].as_str().unwrap().contains("worker_id"), "{drops:?}");
}

#[tokio::test]
async fn a_viewer_leaves_one_line_with_who_it_was_and_the_id_of_its_request() {
    let flags = with_auth();
    let server = LoggingServer::start(&flags.each_ref().map(String::as_str)).await;
    let mut producer = Producer::open(&mut connect(&server.process.grpc_url()).await).await;
    producer.push_all(1, numbered("t", 4)).await;
    producer.finish().await;
    let url = server.api("/stream/t");
    let request = https::client().get(&url).bearer_auth(token());
    let response =
        within("a stream", request.header("x-request-id", "mine-7").send()).await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "mine-7");
    Reader::over(response.bytes_stream()).logs(4).await;
    let whole = with_token(&server.api("/stream/t?follow=false"), &token()).await;
    assert_eq!(Reader::over(whole.bytes_stream()).logs_to_end().await.len(), 4);
    let records = server.stop().await;
    let ends = records.of("a viewer ended");
    let expected: Value = serde_json::json!({ "task": "t", "subject": "somebody", "entries": 4 });
    for end in &ends {
        let found = ["task", "subject", "entries"].map(|name| (name.to_owned(), end[name].clone()));
        assert_eq!(Value::Object(found.into_iter().collect()), expected);
        assert!(end["bytes"].as_u64().unwrap() > 400, "{end}");
    }
    let how: Vec<_> = ends.iter().map(|end| (&end["end"], &end["request"]["id"])).collect();
    assert!(how.contains(&(&"gone".into(), &"mine-7".into())), "{how:?}");
    assert!(how.iter().any(|(end, _)| **end == "end"), "{how:?}");
    let peer = ends[0]["request"]["peer"].as_str().unwrap();
    assert!(peer.starts_with("127.0.0.1:"), "{ends:?}");
}

#[tokio::test]
async fn strangers_cannot_fill_the_log_with_viewers_or_with_entries_that_are_refused() {
    let server = LoggingServer::start(&["--auth=none"]).await;
    let mut producer = Producer::open(&mut connect(&server.process.grpc_url()).await).await;
    producer.push_all(1, numbered("t", 1)).await;
    let began = Instant::now();
    for _ in 0..200 {
        let response = get(&server.api("/stream/t?follow=false"), None).await;
        Reader::over(response.bytes_stream()).logs_to_end().await;
    }
    let unnamed = WorkerLogEntry { worker_id: String::new(), ..entry("t", "whose?") };
    for _ in 0..500 {
        producer.send(unnamed.clone()).await;
        producer.response().await;
    }
    let most = most_lines(began);
    let records = server.stop().await;
    for (message, count, happened) in
        [("a viewer ended", "viewers", 200), ("entries dropped", "dropped", 500)]
    {
        let lines = records.of(message);
        let told: u64 = lines.iter().map(|line| line[count].as_u64().unwrap()).sum();
        assert!(lines.len() <= most && lines.len() < happened, "{} {message}", lines.len());
        assert!(lines.len() >= BURST && told <= happened as u64, "{told} in {}", lines.len());
    }
}

#[tokio::test]
async fn the_access_log_has_each_request_and_no_token() {
    let code = "5ecre7c0de5ecre7c0de5ecre7c0de5e";
    let flags = [&with_auth()[..], &["--access-log".into(), "--log=trace".into()]].concat();
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let server = LoggingServer::start(&flags).await;
    let token = token();
    let forged = format!("{token}x");
    assert_eq!(with_token(&server.api("/tasks"), &token).await.status(), 200);
    assert_eq!(with_token(&server.api("/tasks"), &forged).await.status(), 401);
    let with_cookie = https::client().get(server.api("/tasks/none"));
    let with_cookie = with_cookie.header("cookie", format!("access_token={token}"));
    assert_eq!(within("a response", with_cookie.send()).await.unwrap().status(), 404);
    let login = server.root(&format!("/login?code={code}"));
    assert_eq!(get(&login, None).await.status(), 401);
    let signing_in = https::client().post(server.api("/session")).bearer_auth(&token);
    assert!(within("a response", signing_in.send()).await.unwrap().status().is_success());
    let records = server.stop().await;
    let lines = records.of("request");
    let seen: Vec<_> = lines
        .iter()
        .filter(|line| line["target"] == "access")
        .map(|line| {
            (line["method"].as_str().unwrap(), line["path"].as_str().unwrap(), &line["status"])
        })
        .collect();
    let api = "/api/v1/log-streaming";
    let expected = [("/tasks", 200), ("/tasks", 401), ("/tasks/none", 404)];
    for ((method, path, status), (below, code)) in seen.iter().zip(expected) {
        assert_eq!((*method, *path), ("GET", &*format!("{api}{below}")));
        assert_eq!(**status, code);
    }
    assert_eq!((seen[3].0, seen[3].1, seen[3].2), ("GET", "/login", &401.into()));
    assert_eq!((seen[4].0, seen.len()), ("POST", 5));
    for line in &lines {
        assert!(line["bytes"].is_u64() && line["seconds"].as_f64().unwrap() > 0.0, "{line}");
        assert!(!line["request"]["id"].as_str().unwrap().is_empty(), "{line}");
    }
    let signature = token.rsplit('.').next().unwrap();
    for secret in [&*token, &forged, signature, code, SECRET] {
        assert!(!records.text.contains(secret), "the log has {secret}");
    }
}

#[tokio::test]
async fn without_being_asked_for_there_is_no_access_log_and_problems_have_an_id_all_the_same() {
    let server = LoggingServer::start(&["--auth=none"]).await;
    let refused = get(&server.api("/tasks/none"), None).await;
    assert_eq!(refused.status(), 404);
    let made = refused.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert!(made.len() == 16 && made.bytes().all(|byte| byte.is_ascii_hexdigit()), "{made}");
    let unsound = https::client().get(server.root("/nothing")).header("x-request-id", "a b");
    let other = within("a response", unsound.send()).await.unwrap();
    assert_ne!(other.headers()["x-request-id"], "a b");
    assert!(server.stop().await.of("request").is_empty());
}
