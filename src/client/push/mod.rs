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

use tonic::transport::{ClientTlsConfig, Endpoint, Uri};

pub use driver::Driver;
pub use error::{Ended, Error};
pub use options::{Producer, PushOptions, WorkerEnd};
pub use report::{Notice, Observer, Report};
pub use window::{Dropped, Line, Progress};

use shared_window::SharedWindow;
use window::ResendWindow;

/// Takes lines. Clones feed the same stream.
#[derive(Clone)]
pub struct Pusher {
    window: Arc<SharedWindow>,
}

impl Pusher {
    /// Queues one line; waits while the window is full.
    ///
    /// # Errors
    /// When pushing has ended, or was finished.
    pub async fn push(&self, line: Line) -> Result<(), Ended> {
        self.window.push(line).await
    }

    /// Shows what a source has written so far without a line feed to those who watch, where the server
    /// can. Its next line takes the place of it; nothing of it is kept.
    pub fn show_unfinished(&self, line: Line) {
        self.window.show_unfinished(line);
    }

    /// No more lines: the driver ends once all are acknowledged, and notifies `end` then.
    pub fn finish(&self, end: Option<WorkerEnd>) {
        self.window.finish(end);
    }

    /// Counts, as of now.
    pub fn progress(&self) -> Progress {
        self.window.lock().progress()
    }
}

/// A pusher and its driver, which does the work when it is run.
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
    let window = Arc::new(SharedWindow::new(window));
    let driver = Driver::new(window.clone(), options, endpoint, authorization, observer);
    Ok((Pusher { window }, driver))
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
