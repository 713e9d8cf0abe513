//! Why following ended for good.

use crate::client::sse::TooLarge;

/// Why following ended for good.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client cannot be set up, or the request cannot be made.
    #[error("the request cannot be made")]
    Request(#[source] reqwest::Error),
    /// The token or the last event id cannot be sent in a header.
    #[error("{0} has characters that an HTTP header cannot carry")]
    Header(&'static str),
    /// The server refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The response has another content type than an event stream.
    #[error("the server answered with content type {content_type:?}, expected text/event-stream")]
    NotEventStream {
        /// The response's content type.
        content_type: String,
    },
    /// An event is larger than the limit.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

/// The server refused, and asking again would not help.
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
