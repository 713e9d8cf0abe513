//! Readers: an SSE stream event by event, and the history.

use futures_util::{Stream, StreamExt};
use otto_handler::client::https;
use otto_handler::client::sse::{Event, Parser};
use reqwest::{Response, StatusCode};
use serde_json::Value;

use super::within;

const MAX_EVENT_BYTES: usize = 8 << 20;

/// One SSE connection. It does not reconnect by itself.
pub(crate) struct Reader {
    body: std::pin::Pin<Box<dyn Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    parser: Parser,
}

impl Reader {
    pub(crate) async fn open(url: &str) -> Self {
        Self::of(get(url, None).await)
    }

    /// Resumes after `id`, as EventSource does.
    pub(crate) async fn resume(url: &str, id: &str) -> Self {
        Self::of(get(url, Some(id)).await)
    }

    fn of(response: Response) -> Self {
        assert_eq!(response.status(), StatusCode::OK, "{response:?}");
        Self::over(response.bytes_stream())
    }

    /// Reads a body that was begun elsewhere.
    pub(crate) fn over(
        body: impl Stream<Item = reqwest::Result<bytes::Bytes>> + Send + 'static,
    ) -> Self {
        Self { body: body.boxed(), parser: Parser::new(MAX_EVENT_BYTES) }
    }

    /// The next event; `None` when the server ended the stream or the connection broke.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        within("an event", async {
            loop {
                if let Some(event) = self.parser.next_event().unwrap() {
                    return Some(event);
                }
                let chunk = self.body.next().await?.ok()?;
                self.parser.push(&chunk);
            }
        })
        .await
    }

    /// The next event other than a heartbeat.
    pub(crate) async fn event(&mut self) -> Event {
        loop {
            let event = self.next().await.expect("the stream goes on");
            if event.event != "heartbeat" {
                return event;
            }
        }
    }

    /// The next `count` log events.
    pub(crate) async fn logs(&mut self, count: usize) -> Vec<Event> {
        let mut logs = Vec::with_capacity(count);
        while logs.len() < count {
            let event = self.event().await;
            if event.event == "log" {
                logs.push(event);
            }
        }
        logs
    }

    /// All log events up to the stream's end.
    pub(crate) async fn logs_to_end(&mut self) -> Vec<Event> {
        let mut logs = Vec::new();
        while let Some(event) = self.next().await {
            if event.event == "log" {
                logs.push(event);
            }
        }
        logs
    }

    /// The id of the last event.
    pub(crate) fn last_event_id(&self) -> &str {
        self.parser.last_event_id()
    }
}

pub(crate) async fn get(url: &str, last_event_id: Option<&str>) -> Response {
    let mut request = https::client().get(url);
    if let Some(id) = last_event_id {
        request = request.header("Last-Event-ID", id);
    }
    within("a response", request.send()).await.unwrap()
}

/// The response to a GET with a bearer token.
pub(crate) async fn with_token(url: &str, token: &str) -> Response {
    let request = https::client().get(url).bearer_auth(token);
    within("a response", request.send()).await.unwrap()
}

/// The events' messages.
pub(crate) fn messages(events: &[Event]) -> Vec<String> {
    let message = |event: &Event| {
        let data: Value = serde_json::from_str(&event.data).unwrap();
        data["message"].as_str().unwrap().to_owned()
    };
    events.iter().map(message).collect()
}

/// A JSON response.
pub(crate) async fn json(url: &str) -> Value {
    let response = get(url, None).await;
    assert_eq!(response.status(), StatusCode::OK);
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

/// A task's whole history as plain text.
pub(crate) async fn text(api: impl Fn(&str) -> String, task: &str) -> String {
    let response = get(&api(&format!("/tasks/{task}/logs?format=text")), None).await;
    assert_eq!(response.status(), StatusCode::OK);
    response.text().await.unwrap()
}

/// The numbers that the lines of task `t` begin with.
pub(crate) async fn numbers(api: impl Fn(&str) -> String) -> Vec<usize> {
    let lines = ndjson(api, "t").await;
    let number = |line: &Value| {
        let message = line["message"].as_str().unwrap();
        message.split(' ').next().unwrap().parse().unwrap()
    };
    lines.iter().map(number).collect()
}

/// A task's whole history as JSON objects.
pub(crate) async fn ndjson(api: impl Fn(&str) -> String, task: &str) -> Vec<Value> {
    let url = api(&format!("/tasks/{task}/logs?format=ndjson"));
    let response = get(&url, None).await;
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.text().await.unwrap();
    body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
