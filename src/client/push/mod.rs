//! Pushes one worker's lines over `ForwardWorkerLogs` so that none is lost and none is doubled.
//!
//! Every line carries `otto.session` and `otto.seq`. It stays in a window, bounded in bytes,
//! until the server has answered it. When the stream breaks or the server answers RETRY, a new
//! stream begins at the first unanswered line; the server knows by session and number what it
//! already keeps. With the window full, [`Pusher::push`] waits.
//!
//! Give-up: when no answer has come for [`PushOptions::give_up_after`] although lines wait for one,
//! or at once when the server refuses in a way that another attempt cannot mend.

mod driver;
mod shared;
#[cfg(test)]
mod tests;
mod window;

use std::sync::Arc;
use std::time::Duration;

use tonic::transport::{Endpoint, Uri};

use crate::domain::{TaskId, WorkerId, WorkerState};

pub use driver::Driver;
use shared::PushShared;
use window::ResendWindow;
pub use window::{Dropped, Line, Progress};

/// Whose lines are pushed, and what they have in common.
#[derive(Debug, Clone)]
pub struct Producer {
    /// The task that they belong to.
    pub task: TaskId,
    /// The worker that they come from.
    pub worker: WorkerId,
    /// Their level, such as `INFO`.
    pub level: String,
    /// Their source, such as `stdout`.
    pub source: String,
}

/// Where to push, and how patiently.
#[derive(Debug, Clone)]
pub struct PushOptions {
    /// The server's gRPC address, `http://host:port`.
    pub to: Uri,
    /// Sent as `authorization: Bearer`.
    pub token: Option<String>,
    /// The status told before the first line.
    pub first_status: Option<WorkerState>,
    /// What unanswered lines may take, in bytes. A single larger line is sent alone.
    pub window_bytes: usize,
    /// How long to go on without any answer.
    pub give_up_after: Duration,
    /// The wait before the second attempt.
    pub retry: Duration,
    /// The longest wait between attempts.
    pub retry_most: Duration,
}

impl PushOptions {
    /// Pushes to `to` with a window of 8 MiB, waits of 0.2 to 10 s, and ten minutes' patience.
    pub fn new(to: Uri) -> Self {
        Self {
            to,
            token: None,
            first_status: None,
            window_bytes: 8 << 20,
            give_up_after: Duration::from_secs(600),
            retry: Duration::from_millis(200),
            retry_most: Duration::from_secs(10),
        }
    }
}

/// What the person who waits should know at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The server does not keep a line.
    Dropped(Dropped),
    /// The stream broke; another attempt follows.
    Disconnected {
        /// Why.
        reason: String,
        /// When the next attempt comes.
        retry_in: Duration,
    },
    /// The server does not take a worker's status.
    StatusRefused {
        /// The server's words.
        message: String,
    },
}

/// Told every notice; must not block.
pub type Observer = Box<dyn Fn(Notice) + Send + Sync>;

/// How it ended, when it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Lines, in all.
    pub progress: Progress,
    /// How often the stream had to be begun anew.
    pub reconnects: u64,
    /// Statuses that the server did not take.
    pub refused_statuses: u64,
}

impl Report {
    /// Whether the server keeps everything that it was told.
    pub fn is_clean(&self) -> bool {
        self.progress.acknowledged == self.progress.pushed && self.refused_statuses == 0
    }
}

/// Why pushing failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The address or the token cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// The server refuses for good.
    #[error("the server refused: {0}")]
    TryAppendError(String),
    /// The server's answers make no sense.
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
    /// Patience ran out.
    #[error("gave up after {waited_s} s without an answer: {reason}")]
    GaveUp {
        /// How long, in seconds.
        waited_s: u64,
        /// The last trouble.
        reason: String,
    },
}

/// Pushing has ended; the driver's result says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("pushing has ended")]
pub struct Ended;

/// Takes lines. Clones feed the same stream.
#[derive(Clone)]
pub struct Pusher {
    shared: Arc<PushShared>,
}

impl Pusher {
    /// Queues one line; waits while the window is full.
    ///
    /// # Errors
    /// When pushing has ended, or was finished.
    pub async fn push(&self, line: Line) -> Result<(), Ended> {
        self.shared.push(line).await
    }

    /// No more lines: the driver ends once all are answered, and tells `status` then.
    pub fn finish(&self, status: Option<WorkerState>) {
        self.shared.finish(status);
    }

    /// Counts, as of now.
    pub fn progress(&self) -> Progress {
        self.shared.window().progress()
    }
}

/// A pusher and its driver, which does the work once it is run.
///
/// # Errors
/// When the address or the token cannot be used.
pub fn pusher(
    options: PushOptions,
    producer: Producer,
    observer: Observer,
) -> Result<(Pusher, Driver), Error> {
    let endpoint = endpoint(&options.to)?;
    let authorization = options.token.as_deref().map(authorization).transpose()?;
    let session = format!("{:016x}", fastrand::u64(..));
    let window = ResendWindow::new(producer, session, options.window_bytes);
    let shared = Arc::new(PushShared::new(window));
    let driver = Driver::new(shared.clone(), options, endpoint, authorization, observer);
    Ok((Pusher { shared }, driver))
}

/// The longest wait for a TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Pings show in so many seconds that the other side is gone.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

fn endpoint(to: &Uri) -> Result<Endpoint, Error> {
    if to.scheme_str() != Some("http") || to.authority().is_none() {
        let text = format!("{to} is no address of the form http://host:port");
        return Err(Error::Unusable(text));
    }
    Ok(Endpoint::from(to.clone())
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true))
}

fn authorization(token: &str) -> Result<driver::Authorization, Error> {
    let unusable = |_| Error::Unusable("the token holds characters no header can carry".into());
    format!("Bearer {token}").parse().map_err(unusable)
}
