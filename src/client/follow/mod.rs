//! Follows an event stream over HTTP and resumes it where it broke off.
//!
//! Every event comes once and in order: after a break the request repeats with
//! `Last-Event-ID`, and an event cut in two is taken from the new stream. Waits between
//! attempts are jittered and start from the stream's `retry:`. The stream is over when the
//! server answers 204, or refuses for a reason that another attempt cannot change.

mod error;
mod options;
mod response;
#[cfg(test)]
mod tests;
mod url;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use reqwest::{Response, header};
use tokio::time::{Instant, error::Elapsed, sleep_until, timeout};

use super::away::no_answer;
use super::backoff::Backoff;
use super::https;
use super::sse::{Event, Parser};

pub use error::{Error, Refusal};
pub use options::{AtEnd, FollowOptions};
pub use url::{UrlError, append_keywords, list_url, task_page_url, task_stream_url, task_url};

use response::ResponseKind;

/// What happened next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// An event arrived.
    Event(Event),
    /// The stream broke off; the next call waits and tries again.
    Disconnected {
        /// Why.
        reason: String,
        /// When the next attempt comes.
        retry_in: Duration,
    },
}

enum FollowState {
    Connecting,
    Streaming(Response),
    Waiting { until: Instant },
    Finished,
}

/// A stream being followed.
pub struct Follow {
    http: reqwest::Client,
    options: FollowOptions,
    backoff: Backoff,
    state: FollowState,
    parser: Parser,
    ready: VecDeque<Event>,
}

impl Follow {
    /// Connects at the first call of [`Follow::next`].
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new(options: FollowOptions) -> Result<Self, Error> {
        let http = https::builder()
            .connect_timeout(options.silence_limit)
            .build()
            .map_err(Error::Request)?;
        let backoff = Backoff::new(options.min_backoff, options.max_backoff);
        let parser = Parser::resuming(options.max_event_bytes, &options.last_event_id);
        let (state, ready) = (FollowState::Connecting, VecDeque::new());
        Ok(Self { http, options, backoff, state, parser, ready })
    }

    /// The next update; `None` once the stream is over. May be dropped and called again.
    ///
    /// # Errors
    /// When the server refused for good, or sent something other than an event stream.
    pub async fn next(&mut self) -> Result<Option<Update>, Error> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(Update::Event(event)));
            }
            if let Some(update) = self.advance().await? {
                return Ok(Some(update));
            }
            if matches!(self.state, FollowState::Finished) && self.ready.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Whether the next update needs no waiting.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Where the stream would be resumed.
    pub fn last_event_id(&self) -> &str {
        self.parser.last_event_id()
    }

    /// The updates as a [`Stream`], which ends after an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Update, Error>> + Send {
        futures_util::stream::try_unfold(self, async |mut follow| {
            Ok(follow.next().await?.map(|update| (update, follow)))
        })
    }

    async fn advance(&mut self) -> Result<Option<Update>, Error> {
        match &mut self.state {
            FollowState::Connecting => self.connect().await,
            FollowState::Streaming(response) => {
                let chunk = timeout(self.options.silence_limit, response.chunk()).await;
                self.on_chunk(chunk)
            }
            FollowState::Waiting { until } => {
                sleep_until(*until).await;
                self.state = FollowState::Connecting;
                Ok(None)
            }
            FollowState::Finished => Ok(None),
        }
    }

    async fn connect(&mut self) -> Result<Option<Update>, Error> {
        let request = self.request()?;
        let sent = timeout(self.options.silence_limit, self.http.execute(request)).await;
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                return Ok(self.disconnected(no_answer(&self.options.url, &error), None));
            }
            Err(_) => return Ok(self.disconnected("the server does not answer".into(), None)),
        };
        match response::classify(response).await? {
            ResponseKind::Stream(response) => {
                let resumed =
                    Parser::resuming(self.options.max_event_bytes, self.parser.last_event_id());
                self.parser = resumed;
                self.state = FollowState::Streaming(response);
                Ok(None)
            }
            ResponseKind::Finished => {
                self.state = FollowState::Finished;
                Ok(None)
            }
            ResponseKind::Later { reason, wait } => Ok(self.disconnected(reason, wait)),
        }
    }

    fn request(&self) -> Result<reqwest::Request, Error> {
        let mut request = self
            .http
            .get(self.options.url.clone())
            .header(header::ACCEPT, "text/event-stream")
            .header(header::CACHE_CONTROL, "no-cache");
        if let Some(token) = &self.options.token {
            let value = header::HeaderValue::from_str(&format!("Bearer {token}"));
            request = request
                .header(header::AUTHORIZATION, value.map_err(|_| Error::Header("the token"))?);
        }
        let last_event_id = self.parser.last_event_id();
        if !last_event_id.is_empty() {
            let value = header::HeaderValue::from_bytes(last_event_id.as_bytes());
            request = request
                .header("last-event-id", value.map_err(|_| Error::Header("the last event id"))?);
        }
        request.build().map_err(Error::Request)
    }

    fn on_chunk(
        &mut self,
        chunk: Result<reqwest::Result<Option<Bytes>>, Elapsed>,
    ) -> Result<Option<Update>, Error> {
        match chunk {
            Ok(Ok(Some(bytes))) => self.on_bytes(&bytes).map(|()| None),
            Ok(Ok(None)) => Ok(self.on_end()),
            Ok(Err(error)) => Ok(self.disconnected(no_answer(&self.options.url, &error), None)),
            Err(_) => {
                let seconds = self.options.silence_limit.as_secs_f32();
                Ok(self.disconnected(format!("nothing came for {seconds} s"), None))
            }
        }
    }

    fn on_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.parser.push(bytes);
        while let Some(event) = self.parser.next_event()? {
            self.backoff.reset();
            self.ready.push_back(event);
        }
        if let Some(retry) = self.parser.take_retry() {
            self.backoff.start_from(retry);
        }
        Ok(())
    }

    fn on_end(&mut self) -> Option<Update> {
        match self.options.at_end {
            AtEnd::Reconnect => self.disconnected("the server ended the stream".into(), None),
            AtEnd::Finish => {
                self.state = FollowState::Finished;
                None
            }
        }
    }

    fn disconnected(&mut self, reason: String, min_wait: Option<Duration>) -> Option<Update> {
        let retry_in = self.backoff.next_delay().max(min_wait.unwrap_or_default());
        self.state = FollowState::Waiting { until: Instant::now() + retry_in };
        Some(Update::Disconnected { reason, retry_in })
    }
}
