//! What an operator can set of the HTTP side.

use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderValue;

use super::auth::token::Auth;
use super::base_path::BasePath;

/// The longest heartbeat or stall timeout.
const MAX_PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

/// What an operator can set.
#[derive(Debug)]
pub struct HttpOptions {
    /// The origin of the front end that may ask from a browser, such as `http://localhost:3000`.
    pub frontend_url: String,
    /// The path below which everything is answered.
    pub base_path: BasePath,
    /// Where producers push, to be told to who asks how; `None` where it is not known.
    pub grpc_addr: Option<SocketAddr>,
    /// Who may read.
    pub auth: Auth,
    /// How long a stream stays silent before it sends a heartbeat.
    pub heartbeat: Duration,
    /// A viewer that takes nothing for so long is closed.
    pub viewer_stall_timeout: Duration,
    /// How many viewers may be connected at once.
    pub max_viewers: usize,
    /// Where the metrics are served.
    pub metrics: MetricsPlace,
    /// Whether each request is logged.
    pub access_log: bool,
    /// What readers may make the server hold because they have not taken it, in bytes.
    pub reader_bytes: usize,
}

/// Where the metrics are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsPlace {
    /// Beside everything else, for holders of a token that may read every task.
    HttpPort,
    /// By [`serve_metrics`](super::serve_metrics) alone, for everyone who reaches that port.
    OwnPort,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            frontend_url: "http://localhost:3000".into(),
            base_path: BasePath::default(),
            grpc_addr: None,
            auth: Auth::None,
            heartbeat: Duration::from_secs(15),
            viewer_stall_timeout: Duration::from_secs(60),
            max_viewers: 1000,
            metrics: MetricsPlace::HttpPort,
            access_log: false,
            reader_bytes: 64 << 20,
        }
    }
}

/// An option that the server cannot run with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// The front end's address is not an origin.
    #[error("frontend-url is {0:?}, expected an origin such as http://localhost:3000")]
    FrontendUrl(String),
    /// A duration that is zero or longer than a day.
    #[error("{name} is {found:?}, it needs more than 0 and at most 24h")]
    Period {
        /// The option's name.
        name: &'static str,
        /// What it is set to.
        found: Duration,
    },
}

impl OptionsError {
    /// The name of the setting that is wrong.
    pub fn setting(&self) -> &'static str {
        match self {
            Self::FrontendUrl(_) => "frontend-url",
            Self::Period { name, .. } => name,
        }
    }
}

impl HttpOptions {
    /// Checks every option; returns the front end's origin as browsers send it.
    ///
    /// # Errors
    /// Names the first that the server cannot run with.
    pub fn check(&self) -> Result<HeaderValue, OptionsError> {
        let frontend = origin(&self.frontend_url)
            .ok_or_else(|| OptionsError::FrontendUrl(self.frontend_url.clone()))?;
        check_period("heartbeat", self.heartbeat)?;
        check_period("viewer-stall-timeout", self.viewer_stall_timeout)?;
        Ok(frontend)
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
