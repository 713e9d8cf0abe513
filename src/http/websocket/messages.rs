//! Frames of server-sent events as messages.

use serde_json::json;

use crate::domain::Scope;
use crate::http::problem::Problem;

/// One message for the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OutMessage {
    pub(super) text: String,
    /// Whether nothing comes after it, and why.
    pub(super) ends: Option<EndReason>,
}

/// Why the server ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndReason {
    /// All there is was sent.
    Whole,
    /// Nothing was asked for.
    Idle,
    /// The same may work later.
    Later,
    /// It will not.
    Refused,
}

/// One message for each event in `chunk`, which is whole frames. An id without an event becomes
/// the event `position`: from there the client may resume.
pub(super) fn messages(chunk: &[u8]) -> impl Iterator<Item = OutMessage> {
    let text = str::from_utf8(chunk).unwrap_or_default();
    text.split("\n\n").filter_map(message)
}

fn message(frame: &str) -> Option<OutMessage> {
    let (mut event, mut id, mut data) = (None, None, None);
    for line in frame.lines() {
        match line.split_once(": ") {
            Some(("event", value)) => event = Some(value),
            Some(("id", value)) => id = Some(value),
            Some(("data", value)) => data = Some(value),
            // When to reconnect: a WebSocket does not do that by itself.
            _ => {}
        }
    }
    event.or(id)?;
    let event = event.unwrap_or("position");
    let mut text = format!("{{\"event\":\"{event}\"");
    if let Some(id) = id {
        text.push_str(&format!(",\"id\":\"{id}\""));
    }
    if let Some(data) = data {
        text.push_str(",\"data\":");
        text.push_str(data);
    }
    text.push('}');
    Some(OutMessage { ends: ends(event, data), text })
}

fn ends(event: &str, data: Option<&str>) -> Option<EndReason> {
    match event {
        "complete" => Some(EndReason::Whole),
        "error" => {
            let data: serde_json::Value = serde_json::from_str(data?).ok()?;
            let later = data["retryable"] == true;
            Some(if later { EndReason::Later } else { EndReason::Refused })
        }
        _ => None,
    }
}

/// What a client is told when it was done what it asked for.
pub(super) fn answer(event: &str, scope: Option<&Scope>) -> String {
    let data = match scope {
        Some(Scope::Task(task)) => json!({ "taskId": task.as_str() }),
        Some(Scope::All) | None => json!({}),
    };
    json!({ "event": event, "data": data }).to_string()
}

/// What a client is told when it was not; the connection goes on.
pub(super) fn refusal(problem: &Problem) -> String {
    let Problem { code, detail, .. } = problem;
    let data = json!({ "code": code, "message": detail, "retryable": problem.is_retryable() });
    json!({ "event": "refused", "data": data }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_frame_with_an_event_or_an_id_becomes_a_message_and_the_last_one_says_why_it_is() {
        let chunk = b"retry: 1500\n\nevent: log\nid: 1f-2\ndata: {\"line\":1}\n\n\
                      event: partial\ndata: {\"message\":\"a: b\"}\n\nid: 1f-9\n\n\
                      event: error\ndata: {\"code\":\"draining\",\"retryable\":true}\n\n";
        let messages: Vec<_> = messages(chunk).collect();
        let texts: Vec<_> = messages.iter().map(|message| message.text.as_str()).collect();
        let expected = [
            r#"{"event":"log","id":"1f-2","data":{"line":1}}"#,
            r#"{"event":"partial","data":{"message":"a: b"}}"#,
            r#"{"event":"position","id":"1f-9"}"#,
            r#"{"event":"error","data":{"code":"draining","retryable":true}}"#,
        ];
        assert_eq!(texts, expected);
        let ends: Vec<_> = messages.iter().map(|message| message.ends).collect();
        assert_eq!(ends, [None, None, None, Some(EndReason::Later)]);
    }
}
