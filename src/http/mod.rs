//! The HTTP side: browsers follow tasks over SSE, read history, and get the viewer.
//!
//! It translates and calls the core. The way of a stream: [`stream`](self) reads the request
//! and opens a [`ReaderSession`](crate::subscribe::ReaderSession), `sse` puts the session's events into
//! frames, `server` carries them. Nothing else in the crate knows axum or hyper.
//!
//! # What it guarantees
//! - Every refusal is `application/problem+json` that names value and rule.
//! - Nobody reads a task that their token does not name, and no token is logged or sent back.
//! - A viewer has no task and no queue of its own: its body reads the session when the
//!   connection has room. One that takes nothing for `viewer_stall_timeout` is closed.
//! - Once `drain` is cancelled, streams end with an `error` event and a hint when to reconnect.

mod assets;
mod auth;
mod health;
mod logs;
mod params;
mod path;
mod problem;
mod router;
mod server;
mod sign_in;
mod sse;
mod stream;
mod tasks;
mod viewer_permits;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use auth::{Auth, Claims, SignError, Verifier, sign};
pub use server::serve;
pub use sign_in::LoginCodes;

use crate::stats::ServerStats;
use crate::subscribe::{Source, Ticks};
use viewer_permits::ViewerPermits;

/// What an operator can set.
#[derive(Debug)]
pub struct HttpOptions {
    /// The origin of the front end that may ask from a browser, such as `http://localhost:3000`.
    pub frontend_url: String,
    /// Who is let in.
    pub auth: Auth,
    /// After how long without an event a stream sends a heartbeat.
    pub heartbeat: Duration,
    /// A viewer that takes nothing for so long is closed.
    pub viewer_stall_timeout: Duration,
    /// How many streams may be open at once.
    pub max_viewers: usize,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            frontend_url: "http://localhost:3000".into(),
            auth: Auth::None,
            heartbeat: Duration::from_secs(15),
            viewer_stall_timeout: Duration::from_secs(60),
            max_viewers: 1000,
        }
    }
}

/// HttpOptions that cannot be served with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// The front end's address is no origin.
    #[error("frontend_url is {0:?}, it must be an origin such as http://localhost:3000")]
    FrontendUrl(String),
    /// A time that is none or beyond reason.
    #[error("{name} is {found:?}, it must be above zero and at most {MAX_PERIOD:?}")]
    Period {
        /// The option's name.
        name: &'static str,
        /// What it is.
        found: Duration,
    },
}

/// The longest heartbeat or stall timeout.
const MAX_PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

/// The HTTP side's state, and the ticks of the runtime that it serves on. Clones share both.
#[derive(Clone)]
pub struct AppState(Arc<AppShared>, Ticks);

struct AppShared {
    options: HttpOptions,
    frontend: HeaderValue,
    source: Source,
    stats: ServerStats,
    failure: watch::Receiver<Option<Arc<str>>>,
    drain: CancellationToken,
    viewer_permits: ViewerPermits,
    login_codes: LoginCodes,
}

impl AppState {
    /// Serves what `source` reads; ends streams once `drain` is cancelled.
    ///
    /// # Errors
    /// When an option cannot be served with.
    pub fn new(
        options: HttpOptions,
        source: Source,
        stats: ServerStats,
        drain: CancellationToken,
    ) -> Result<Self, OptionsError> {
        let frontend = origin(&options.frontend_url)
            .ok_or_else(|| OptionsError::FrontendUrl(options.frontend_url.clone()))?;
        check_period("heartbeat", options.heartbeat)?;
        check_period("viewer_stall_timeout", options.viewer_stall_timeout)?;
        let failure = source.log.failure();
        let viewer_permits = ViewerPermits::new(options.max_viewers);
        let login_codes = LoginCodes::default();
        let shared = AppShared {
            options,
            frontend,
            source,
            stats,
            failure,
            drain,
            viewer_permits,
            login_codes,
        };
        let ticks = shared.source.ticks.clone();
        Ok(Self(Arc::new(shared), ticks))
    }

    /// Single-use codes that sign a browser in.
    pub fn login_codes(&self) -> &LoginCodes {
        &self.0.login_codes
    }

    /// How many streams are open.
    pub fn active_viewers(&self) -> usize {
        self.0.viewer_permits.taken()
    }

    /// The same, served on another runtime: its viewers wait for ticks of their own.
    fn on_another_runtime(&self) -> Self {
        Self(Arc::clone(&self.0), self.1.for_another_runtime())
    }

    fn options(&self) -> &HttpOptions {
        &self.0.options
    }

    fn stats(&self) -> &ServerStats {
        &self.0.stats
    }

    fn source(&self) -> &Source {
        &self.0.source
    }

    /// What a viewer served here reads from.
    fn viewer_source(&self) -> Source {
        Source { ticks: self.1.clone(), ..self.0.source.clone() }
    }

    /// Why the store takes no more writes, once that is so.
    fn store_failure(&self) -> Option<Arc<str>> {
        self.0.failure.borrow().clone()
    }

    fn is_draining(&self) -> bool {
        self.0.drain.is_cancelled()
    }
}

fn check_period(name: &'static str, found: Duration) -> Result<(), OptionsError> {
    let is_good = !found.is_zero() && found <= MAX_PERIOD;
    if is_good { Ok(()) } else { Err(OptionsError::Period { name, found }) }
}

/// Scheme, host and port of `url`, as browsers write them in `Origin`.
fn origin(url: &str) -> Option<HeaderValue> {
    let uri: http::Uri = url.parse().ok()?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    let authority = uri.authority().filter(|_| is_web && uri.path() == "/")?;
    HeaderValue::from_str(&format!("{}://{authority}", uri.scheme_str()?)).ok()
}

#[cfg(test)]
mod tests;
