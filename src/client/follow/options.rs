//! What to follow, and how.

use std::time::Duration;

use reqwest::Url;

/// What to do when the server ends the stream properly, not by a broken connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtEnd {
    /// Ask again, as a browser does; the server answers 204 when there is nothing more.
    Reconnect,
    /// Finish.
    Finish,
}

/// What to follow, and how.
#[derive(Debug, Clone)]
pub struct FollowOptions {
    /// The stream, with its query.
    pub url: Url,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<String>,
    /// The event to begin after; empty to begin where the query says.
    pub last_event_id: String,
    /// What to do when the server ends the stream.
    pub at_end: AtEnd,
    /// The wait before the first further attempt, until the stream names another with `retry:`.
    pub min_backoff: Duration,
    /// The longest wait between attempts.
    pub max_backoff: Duration,
    /// How long the server may be silent; its heartbeats come more often.
    pub silence_limit: Duration,
    /// The largest event that is taken.
    pub max_event_bytes: usize,
}

impl FollowOptions {
    /// Follows `url` to its end, with waits of 1 to 30 s, at most 60 s of silence, and events of
    /// up to 16 MiB.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            token: None,
            last_event_id: String::new(),
            at_end: AtEnd::Reconnect,
            min_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(30),
            silence_limit: Duration::from_secs(60),
            max_event_bytes: 16 << 20,
        }
    }
}
