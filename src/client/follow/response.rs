//! What the head of an answer means for someone who follows a stream.

use std::time::Duration;

use reqwest::{Response, StatusCode, header};
use serde::Deserialize;

use super::Error;

/// As much of a refusal's body as is read.
const MAX_PROBLEM_BYTES: usize = 64 * 1024;

/// The server said no, and asking again would not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server refused with {status}: {title}{}{detail}", if detail.is_empty() { "" } else { ": " })]
pub struct Refusal {
    /// The status code.
    pub status: u16,
    /// RFC 9457 `title`, or the status code's own phrase.
    pub title: String,
    /// RFC 9457 `detail`; empty when there is none.
    pub detail: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
}

pub(super) enum Verdict {
    Stream(Response),
    Finished,
    Later { reason: String, wait: Option<Duration> },
}

/// Stream, end, wait, or an error when it is none of these.
pub(super) async fn judge(response: Response) -> Result<Verdict, Error> {
    match response.status() {
        StatusCode::OK => check_content_type(response),
        StatusCode::NO_CONTENT => Ok(Verdict::Finished),
        status if may_pass(status) => {
            Ok(Verdict::Later { reason: status.to_string(), wait: retry_after(&response) })
        }
        _ => Err(refusal(response).await.into()),
    }
}

/// RFC 9110 §15, RFC 6585 §4: answers that say "not now".
fn may_pass(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// RFC 9110 §10.2.3, the form in seconds.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    value.parse().ok().map(Duration::from_secs)
}

fn check_content_type(response: Response) -> Result<Verdict, Error> {
    let value = response.headers().get(header::CONTENT_TYPE);
    let content_type = value.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("text/event-stream") {
        return Ok(Verdict::Stream(response));
    }
    Err(Error::NotEventStream { content_type: content_type.to_owned() })
}

async fn refusal(response: Response) -> Refusal {
    let status = response.status();
    let body = read_start(response).await;
    let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
    let phrase = status.canonical_reason().unwrap_or_default();
    let title = if problem.title.is_empty() { phrase.to_owned() } else { problem.title };
    Refusal { status: status.as_u16(), title, detail: problem.detail }
}

async fn read_start(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_PROBLEM_BYTES {
            break;
        }
    }
    body
}
