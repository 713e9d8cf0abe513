//! Pushes one worker's lines over `ForwardWorkerLogs` so that none is lost and none is doubled.
//!
//! Every line carries `otto.session` and `otto.seq`. It stays in a window, bounded in bytes,
//! until the server has acknowledged or dropped it. When the stream breaks or the server answers
//! RETRY, a new stream begins at the first line without an ACK; the server knows by session and
//! number what it already keeps. While the window is full, [`Pusher::push`] waits. An unfinished line
//! ([`Pusher::show_unfinished`]) is sent where nothing waits before it, and again on a new stream.
//!
//! It gives up when no answer has come for [`PushOptions::give_up_after`] although lines wait for
//! one, or at once when the server refuses for a reason that another attempt cannot change.
//! [`Pusher::take_undelivered`] then gives what is left, and [`resume`] goes on with it, also in
//! another process.

mod driver;
mod error;
mod options;
mod report;
mod shared_window;
#[cfg(test)]
mod tests;
mod window;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tonic::transport::{ClientTlsConfig, Endpoint, Uri};

pub use driver::Driver;
pub use error::{Ended, Error};
pub use options::{Producer, PushOptions, Resumption, TimedStatus, WorkerEnd};
pub use report::{Notice, Observer, Report};
pub use window::{Dropped, Line, Progress, Undelivered};

use shared_window::SharedWindow;
use window::ResendWindow;

use crate::domain::WorkerState;

/// Takes lines. Clones feed the same stream.
#[derive(Clone)]
pub struct Pusher {
    window: Arc<SharedWindow>,
    started: Timestamp,
}

impl Pusher {
    /// Queues one line; waits while the window is full.
    ///
    /// # Errors
    /// Gives the line back when pushing has ended, or was finished.
    pub async fn push(&self, line: Line) -> Result<(), Ended> {
        self.window.push(line).await
    }

    /// Shows what a source has written so far without a line feed to those who watch, where the server
    /// can. Its next line takes the place of it; nothing of it is kept.
    pub fn show_unfinished(&self, line: Line) {
        self.window.show_unfinished(line);
    }

    /// The next line gets the number `seq`, if that is higher: those before it are missing.
    pub fn skip_to(&self, seq: u64) {
        self.window.lock().skip_to(seq);
    }

    /// No more lines: the driver ends once all are acknowledged, and notifies `end` then, as
    /// reached now.
    pub fn finish(&self, end: Option<WorkerEnd>) {
        // A clock that goes back must not put the end before the beginning.
        let now = Timestamp::now().max(self.started + Duration::from_micros(1));
        self.finish_at(end.map(|end| TimedStatus::at(end, now)));
    }

    /// The same for an end that was reached before.
    pub fn finish_at(&self, end: Option<TimedStatus>) {
        self.window.finish(end);
    }

    /// Ends pushing, and takes what the server is not known to keep. Its answers that are still
    /// under way are not read: it may keep some of it.
    pub fn take_undelivered(&self) -> Undelivered {
        self.window.stop();
        self.window.lock().take_undelivered()
    }

    /// Takes the worker's end, where it was given and not told.
    pub fn take_end(&self) -> Option<TimedStatus> {
        self.window.lock().take_end()
    }

    /// Counts, as of now.
    pub fn progress(&self) -> Progress {
        self.window.lock().progress()
    }
}

/// A pusher with a new session, and its driver, which does the work when it is run.
/// `first_status` is told before the first line.
///
/// # Errors
/// When the address or the token cannot be used.
pub fn pusher(
    options: PushOptions,
    producer: Producer,
    first_status: Option<WorkerState>,
    observer: Observer,
) -> Result<(Pusher, Driver), Error> {
    let now = Timestamp::now();
    let first_status = first_status.map(|state| TimedStatus::at(state.into(), now));
    let session = format!("{:016x}", fastrand::u64(..));
    let resumption = Resumption { session, next_seq: 1, first_status };
    resume(options, producer, resumption, observer)
}

/// The same for a session that goes on.
///
/// # Errors
/// As [`pusher`].
pub fn resume(
    options: PushOptions,
    producer: Producer,
    resumption: Resumption,
    observer: Observer,
) -> Result<(Pusher, Driver), Error> {
    let endpoint = endpoint(&options.to)?;
    let authorization = options.token.as_deref().map(authorization).transpose()?;
    let window = ResendWindow::new(producer, resumption, options.window_bytes);
    let window = Arc::new(SharedWindow::new(window));
    let driver = Driver::new(window.clone(), options, endpoint, authorization, observer);
    Ok((Pusher { window, started: Timestamp::now() }, driver))
}

/// The longest wait for a TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The time between two HTTP/2 pings, which show that the other side is gone.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// How long the answer to a ping may take.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

fn endpoint(to: &Uri) -> Result<Endpoint, Error> {
    let is_tls = to.scheme_str() == Some("https");
    if !(is_tls || to.scheme_str() == Some("http")) || to.authority().is_none() {
        let text = format!("the address is {to}, expected http://host:port or https://host:port");
        return Err(Error::Unusable(text));
    }
    let endpoint = Endpoint::from(to.clone())
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true);
    if !is_tls {
        return Ok(endpoint);
    }
    let tls = ClientTlsConfig::new().with_native_roots();
    let unusable = |error| Error::Unusable(format!("the system's certificates: {error}"));
    endpoint.tls_config(tls).map_err(unusable)
}

fn authorization(token: &str) -> Result<driver::Authorization, Error> {
    let unusable =
        |_| Error::Unusable("the token has characters that an HTTP header cannot carry".into());
    format!("Bearer {token}").parse().map_err(unusable)
}
