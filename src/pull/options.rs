//! What to pull from, when, and how patiently.

use std::time::Duration;

use http::Uri;

/// The wait after the first failure in a row, before jitter.
const LEAST_BACKOFF: Duration = Duration::from_secs(1);

/// The longest wait between two attempts.
const MOST_BACKOFF: Duration = Duration::from_secs(60);

/// How long connecting may take, and after it the wait for the first response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// How often statuses are polled while pulling, by default.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// When to pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// While no push stream has been open for `after`.
    Fallback {
        /// How long nobody must have pushed.
        after: Duration,
    },
    /// At all times.
    Always,
}

/// When to poll GetWorkerStatus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polling {
    /// Never.
    Off,
    /// While it is our turn to pull.
    WhilePulling(Duration),
    /// At all times.
    Always(Duration),
}

impl Polling {
    /// What the setting means: zero is off, a duration always, and none while pulling.
    pub fn new(interval: Option<Duration>) -> Self {
        match interval {
            None => Self::WhilePulling(POLL_INTERVAL),
            Some(Duration::ZERO) => Self::Off,
            Some(interval) => Self::Always(interval),
        }
    }
}

/// What to pull from, when, and how patiently.
#[derive(Debug, Clone)]
pub struct PullOptions {
    /// The source's address: scheme, host and port.
    pub from: Uri,
    /// When to pull.
    pub mode: Mode,
    /// When to poll statuses.
    pub polling: Polling,
    /// The wait after the first failure in a row, before jitter.
    pub least_backoff: Duration,
    /// The longest wait between two attempts.
    pub most_backoff: Duration,
    /// How long connecting may take, and after it the wait for the first response.
    pub response_timeout: Duration,
}

impl PullOptions {
    /// With the usual timing.
    pub fn new(from: Uri, mode: Mode, polling: Polling) -> Self {
        Self {
            from,
            mode,
            polling,
            least_backoff: LEAST_BACKOFF,
            most_backoff: MOST_BACKOFF,
            response_timeout: RESPONSE_TIMEOUT,
        }
    }
}
