//! Against a server that plays one scripted response per connection.

use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::domain::TaskId;

/// What one connection gets.
struct ScriptedResponse {
    head: &'static str,
    body: &'static str,
    end: End,
}

enum End {
    /// The chunked body is ended as it should be.
    Whole,
    /// The connection is cut.
    Cut,
    /// The connection stays open and silent.
    Silence,
}

const STREAM: &str = "200 OK\r\ncontent-type: text/event-stream\r\n";

fn stream(body: &'static str, end: End) -> ScriptedResponse {
    ScriptedResponse { head: STREAM, body, end }
}

fn plain(head: &'static str, body: &'static str) -> ScriptedResponse {
    ScriptedResponse { head, body, end: End::Whole }
}

const FINISHED: ScriptedResponse =
    ScriptedResponse { head: "204 No Content\r\n", body: "", end: End::Whole };

/// Plays `script`; resolves to the heads of the requests.
async fn play(script: Vec<ScriptedResponse>) -> (FollowOptions, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut requests, mut open) = (Vec::new(), Vec::new());
        for response in script {
            let (mut connection, _) = listener.accept().await.unwrap();
            requests.push(read_head(&mut connection).await);
            write_response(&mut connection, &response).await;
            if matches!(response.end, End::Silence) {
                open.push(connection);
            }
        }
        requests
    });
    let task = TaskId::new("a build/1?").unwrap();
    let mut options = FollowOptions::new(task_stream_url(&base, &task).unwrap());
    options.min_backoff = Duration::from_millis(1);
    (options, server)
}

async fn read_head(connection: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn write_response(connection: &mut TcpStream, response: &ScriptedResponse) {
    let mut text = format!("HTTP/1.1 {}", response.head);
    if response.head.starts_with("204") {
        text.push_str("connection: close\r\n\r\n");
    } else {
        let bytes = response.body.len();
        text.push_str("connection: close\r\ntransfer-encoding: chunked\r\n\r\n");
        text.push_str(&format!("{bytes:x}\r\n{}\r\n", response.body));
        if matches!(response.end, End::Whole) {
            text.push_str("0\r\n\r\n");
        }
    }
    connection.write_all(text.as_bytes()).await.unwrap();
    connection.flush().await.unwrap();
}

/// Everything up to the end: (id, data) of each event, and the reasons of the breaks.
async fn follow_to_end(
    options: FollowOptions,
) -> Result<(Vec<(String, String)>, Vec<String>), Error> {
    let mut follow = Follow::new(options)?;
    let (mut events, mut breaks) = (Vec::new(), Vec::new());
    while let Some(update) = follow.next().await? {
        match update {
            Update::Event(event) => events.push((event.id, event.data)),
            Update::Disconnected { reason, .. } => breaks.push(reason),
        }
    }
    Ok((events, breaks))
}

fn ids_and_data(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(id, data)| ((*id).into(), (*data).into())).collect()
}

fn last_event_id(request: &str) -> Option<&str> {
    request.lines().find_map(|line| line.strip_prefix("last-event-id: "))
}

#[tokio::test]
async fn a_stream_cut_in_mid_event_resumes_after_the_last_whole_event() {
    let (options, server) = play(vec![
        stream("retry: 1\n\nid: e-1\ndata: one\n\nid: e-2\ndata: tw", End::Cut),
        stream("id: e-2\ndata: two\n\nid: e-5\n\n", End::Cut),
        stream("data: three\n\n", End::Whole),
        FINISHED,
    ])
    .await;
    let (events, breaks) = follow_to_end(options).await.unwrap();
    assert_eq!(events, ids_and_data(&[("e-1", "one"), ("e-2", "two"), ("e-5", "three")]));
    assert_eq!(breaks.len(), 3);

    let requests = server.await.unwrap();
    let resumed: Vec<_> = requests.iter().map(|request| last_event_id(request)).collect();
    assert_eq!(resumed, [None, Some("e-1"), Some("e-5"), Some("e-5")]);
    let path = "GET /api/v1/log-streaming/stream/a%20build%2F1%3F HTTP/1.1";
    assert!(requests[0].starts_with(path), "{}", requests[0]);
}

#[tokio::test]
async fn a_given_last_event_id_and_token_are_sent() {
    let (mut options, server) = play(vec![FINISHED]).await;
    options.last_event_id = "e-9".into();
    options.token = Some("t.o.ken".into());
    assert_eq!(follow_to_end(options).await.unwrap().0, []);
    let requests = server.await.unwrap();
    assert_eq!(last_event_id(&requests[0]), Some("e-9"));
    assert!(requests[0].contains("authorization: Bearer t.o.ken\r\n"));
}

#[tokio::test]
async fn without_reconnecting_a_stream_that_ends_is_over_and_a_cut_one_is_resumed() {
    let (mut options, _server) = play(vec![
        stream("id: 1\ndata: one\n\n", End::Cut),
        stream("id: 2\ndata: two\n\n", End::Whole),
    ])
    .await;
    options.at_end = AtEnd::Finish;
    let (events, breaks) = follow_to_end(options).await.unwrap();
    assert_eq!(events, ids_and_data(&[("1", "one"), ("2", "two")]));
    assert_eq!(breaks.len(), 1);
}

#[tokio::test]
async fn as_a_stream_it_gives_the_same_updates() {
    let (mut options, _server) = play(vec![stream("id: 1\ndata: one\n\n", End::Whole)]).await;
    options.at_end = AtEnd::Finish;
    let updates: Vec<_> = Follow::new(options).unwrap().into_stream().collect().await;
    let one = Event { event: "message".into(), id: "1".into(), data: "one".into() };
    assert!(matches!(&updates[..], [Ok(Update::Event(event))] if *event == one));
}

#[tokio::test]
async fn a_silent_server_is_left_and_asked_again() {
    let (mut options, _server) =
        play(vec![stream("id: 1\ndata: one\n\n", End::Silence), FINISHED]).await;
    options.silence_limit = Duration::from_millis(50);
    let (events, breaks) = follow_to_end(options).await.unwrap();
    assert_eq!(events, ids_and_data(&[("1", "one")]));
    assert_eq!(breaks, ["nothing came for 0.05 s"]);
}

#[tokio::test]
async fn not_now_is_asked_again_and_a_refusal_is_final() {
    let problem = r#"{"title":"token expired","detail":"exp was yesterday","status":401}"#;
    let (options, _server) = play(vec![
        plain("503 Service Unavailable\r\nretry-after: 0\r\n", ""),
        plain("429 Too Many Requests\r\n", ""),
        plain("401 Unauthorized\r\ncontent-type: application/problem+json\r\n", problem),
    ])
    .await;
    let Err(Error::Refused(refusal)) = follow_to_end(options).await else {
        panic!("the refusal is an error")
    };
    assert_eq!(
        refusal.to_string(),
        "the server refused with 401: token expired: exp was yesterday"
    );
}

#[tokio::test]
async fn a_refusal_without_problem_json_is_named_by_its_status() {
    let (options, _server) = play(vec![plain("403 Forbidden\r\n", "<html>")]).await;
    let error = follow_to_end(options).await.unwrap_err();
    assert_eq!(error.to_string(), "the server refused with 403: Forbidden");
}

#[tokio::test]
async fn a_page_is_refused_by_its_content_type() {
    let (options, _server) = play(vec![plain("200 OK\r\ncontent-type: text/html\r\n", "hi")]).await;
    let error = follow_to_end(options).await.unwrap_err();
    assert!(matches!(error, Error::NotEventStream { content_type } if content_type == "text/html"));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut options =
        FollowOptions::new(task_stream_url(&base, &TaskId::new("t").unwrap()).unwrap());
    options.min_backoff = Duration::from_millis(1);
    let mut follow = Follow::new(options).unwrap();
    for _ in 0..3 {
        let update = follow.next().await.unwrap();
        assert!(matches!(update, Some(Update::Disconnected { .. })), "{update:?}");
    }
}

#[test]
fn addresses_are_checked() {
    let task = TaskId::new("t").unwrap();
    let url = task_stream_url("https://ci.example/logs/", &task).unwrap();
    assert_eq!(url.as_str(), "https://ci.example/logs/api/v1/log-streaming/stream/t");
    for bad in ["localhost:4000", "ftp://x/", "", "http://"] {
        assert!(task_stream_url(bad, &task).is_err(), "{bad:?}");
    }
    let dots = TaskId::new("..").unwrap();
    assert!(matches!(task_stream_url("http://x", &dots), Err(UrlError::DotSegment(_))));
}
