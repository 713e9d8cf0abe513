//! The same streams over WebSocket.

use futures_util::{SinkExt, StreamExt};
use otto_handler::client::https;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::{Process, Producer, TestServer, connect, entry, get, numbered, within};

struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The id of the last event, from which another socket may resume.
    last_event_id: String,
}

impl Socket {
    async fn open(api: &str, query: &str) -> Self {
        let url = format!("{}/ws{query}", api.replace("http://", "ws://"));
        let (stream, _) = within("a WebSocket", connect_async(url)).await.unwrap();
        Self { stream, last_event_id: String::new() }
    }

    async fn say(&mut self, message: Value) {
        self.say_text(&message.to_string()).await;
    }

    async fn say_text(&mut self, text: &str) {
        within("space to say", self.stream.send(Message::text(text))).await.unwrap();
    }

    /// The next event that is no heartbeat; how the server closes it in `Err`.
    async fn next(&mut self) -> Result<Value, Option<CloseFrame>> {
        loop {
            match within("a message", self.stream.next()).await {
                Some(Ok(Message::Text(text))) => {
                    let event: Value = serde_json::from_str(&text).unwrap();
                    if let Some(id) = event["id"].as_str() {
                        id.clone_into(&mut self.last_event_id);
                    }
                    if event["event"] != "heartbeat" {
                        return Ok(event);
                    }
                }
                Some(Ok(Message::Close(frame))) => return Err(frame),
                None => return Err(None),
                other => panic!("{other:?}"),
            }
        }
    }

    async fn event(&mut self, name: &str) -> Value {
        loop {
            let event = self.next().await.unwrap();
            if event["event"] == name {
                return event["data"].clone();
            }
        }
    }

    /// The messages of the next `count` lines.
    async fn lines(&mut self, count: usize) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.len() < count {
            lines.push(self.event("log").await["message"].as_str().unwrap().to_owned());
        }
        lines
    }
}

#[tokio::test]
async fn a_task_is_followed_to_its_end_and_asked_for_again_from_where_it_was_cut() {
    let server = TestServer::start().await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    producer.push_all(1, numbered("a/b", 3)).await;
    let mut socket = Socket::open(&server.api(""), "?taskId=a/b&tail=2").await;
    assert_eq!(socket.lines(2).await, ["line 2", "line 3"]);
    let resume_at = socket.last_event_id.clone();
    drop(socket);
    producer.push_all(4, vec![entry("a/b", "line 4")]).await;
    let query = format!("?taskId=a/b&lastEventId={resume_at}");
    let mut resumed = Socket::open(&server.api(""), &query).await;
    assert_eq!(resumed.lines(1).await, ["line 4"]);
    let told = https::client()
        .post(server.api("/tasks/a%2Fb/end"))
        .header("content-type", "application/json")
        .body("{\"outcome\":\"failed\"}");
    producer.finish().await;
    assert_eq!(told.send().await.unwrap().status(), 200);
    assert_eq!(resumed.event("complete").await["outcome"], "failed");
    let closed = resumed.next().await.unwrap_err().unwrap();
    assert_eq!((u16::from(closed.code), closed.reason.as_str()), (1000, "nothing more comes"));
}

#[tokio::test]
async fn streams_and_filters_change_without_a_new_connection() {
    let server = TestServer::start().await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    let mut socket = Socket::open(&server.api(""), "").await;
    socket.say(json!({ "type": "filter", "level": "ERROR" })).await;
    assert_eq!(socket.event("refused").await["code"], "no_stream");
    socket.say(json!({ "type": "subscribe", "taskId": "t" })).await;
    assert_eq!(socket.event("subscribed").await, json!({ "taskId": "t" }));
    producer.push_all(1, vec![entry("t", "all")]).await;
    assert_eq!(socket.lines(1).await, ["all"]);
    socket.say(json!({ "type": "filter", "keywords": ["3, found", "none"] })).await;
    socket.event("filtered").await;
    let lines = ["hidden: 3", "found", "2, 3, found"].map(|text| entry("t", text));
    producer.push_all(2, lines.to_vec()).await;
    assert_eq!(socket.lines(1).await, ["2, 3, found"]);
    socket.say(json!({ "type": "filter" })).await;
    socket.event("filtered").await;
    producer.push_all(5, vec![entry("t", "all again"), entry("u", "of another")]).await;
    assert_eq!(socket.lines(1).await, ["all again"]);
    socket.say(json!({ "type": "subscribe", "from": "start" })).await;
    socket.event("subscribed").await;
    assert_eq!(socket.lines(6).await[5], "of another");
    socket.say(json!({ "type": "unsubscribe" })).await;
    socket.event("unsubscribed").await;
    producer.push_all(7, vec![entry("t", "unseen")]).await;
    socket.say(json!({ "type": "subscribe", "taskId": "t", "tail": 1 })).await;
    assert_eq!(socket.next().await.unwrap()["event"], "subscribed");
}

#[tokio::test]
async fn what_cannot_be_understood_is_refused_with_the_rule_and_the_stream_goes_on() {
    let server = TestServer::start().await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    let mut socket = Socket::open(&server.api(""), "?taskId=t").await;
    for (text, told) in [
        ("hello", "it must be a JSON object"),
        ("{\"type\":\"stop\"}", "type is \"stop\", it must be"),
        ("{\"type\":\"filter\",\"lvel\":\"ERROR\"}", "\"lvel\" is not a parameter here"),
        ("{\"type\":\"subscribe\",\"lastEventId\":\"7\"}", "lastEventId is \"7\", it must be"),
    ] {
        socket.say_text(text).await;
        let message = socket.event("refused").await["message"].clone();
        assert!(message.as_str().unwrap().contains(told), "{message}");
    }
    producer.push_all(1, vec![entry("t", "still here")]).await;
    assert_eq!(socket.lines(1).await, ["still here"]);
    let plain = get(&server.api("/ws?taskId=t"), None).await;
    assert_eq!(plain.status(), 400);
    let foreign = refused(&server, "?taskId=t", "http://evil.test").await;
    assert_eq!(foreign, 403);
    assert_eq!(refused(&server, "?taskId=t&tail=x", "http://localhost:3000").await, 400);
}

/// The status that a page of `origin` is answered.
async fn refused(server: &TestServer, query: &str, origin: &str) -> u16 {
    let url = format!("{}/ws{query}", server.api("").replace("http://", "ws://"));
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("origin", origin.parse().unwrap());
    match within("an answer", connect_async(request)).await {
        Err(Error::Http(response)) => response.status().as_u16(),
        other => panic!("{other:?}"),
    }
}

const LINES: usize = 3000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_cut_and_resumes_a_hundred_times_gets_every_line_once() {
    let server = TestServer::start().await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    let pushing = tokio::spawn(async move {
        producer.push_all(1, numbered("t", LINES)).await;
        producer.finish().await;
    });
    let (mut got, mut resume_at) = (Vec::new(), String::new());
    for turn in 0..=100 {
        let query = format!("?taskId=t&lastEventId={resume_at}");
        let mut socket = Socket::open(&server.api(""), &query).await;
        let until = LINES * (turn + 1) / 101;
        let more = socket.lines(until - got.len()).await;
        got.extend(more);
        resume_at = socket.last_event_id;
    }
    let expected: Vec<_> = (1..=LINES).map(|turn| format!("line {turn}")).collect();
    assert_eq!(got, expected);
    pushing.await.unwrap();
}

#[tokio::test]
async fn a_server_that_shuts_down_says_so_and_waits_for_no_silent_client() {
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start(&dir.path().join("data"), &[], None).await;
    let mut socket = Socket::open(&server.api(""), "?taskId=t").await;
    let silent = Socket::open(&server.api(""), "").await;
    server.signal("TERM").await;
    let error = socket.event("error").await;
    assert_eq!((&error["code"], &error["retryable"]), (&"draining".into(), &true.into()));
    let closed = socket.next().await.unwrap_err().unwrap();
    assert_eq!(u16::from(closed.code), 1013);
    assert_eq!(within("the end", server.exit_code()).await, Some(0));
    drop(silent);
}
