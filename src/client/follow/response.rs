//! What a response's head means for someone who follows a stream.

use std::time::Duration;

use reqwest::{Response, StatusCode, header};
use serde::Deserialize;

use super::error::{Error, Refusal};

/// As much of a refusal's body as is read.
const MAX_PROBLEM_BYTES: usize = 64 * 1024;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
}

/// What a response is.
pub(super) enum ResponseKind {
    Stream(Response),
    Finished,
    Later { reason: String, wait: Option<Duration> },
}

/// Tells a stream from its end and from "not now".
///
/// # Errors
/// When the response is none of these.
pub(super) async fn classify(response: Response) -> Result<ResponseKind, Error> {
    match response.status() {
        StatusCode::OK => check_content_type(response),
        StatusCode::NO_CONTENT => Ok(ResponseKind::Finished),
        status if may_pass(status) => {
            Ok(ResponseKind::Later { reason: status.to_string(), wait: retry_after(&response) })
        }
        _ => Err(refusal(response).await.into()),
    }
}

/// RFC 9110 §15, RFC 6585 §4: status codes that say "not now".
fn may_pass(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// RFC 9110 §10.2.3, the form in seconds.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    value.parse().ok().map(Duration::from_secs)
}

fn check_content_type(response: Response) -> Result<ResponseKind, Error> {
    let value = response.headers().get(header::CONTENT_TYPE);
    let content_type = value.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("text/event-stream") {
        return Ok(ResponseKind::Stream(response));
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
