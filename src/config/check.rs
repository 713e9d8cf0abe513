//! Whether the settings make sense together.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytesize::ByteSize;
use http::Uri;

use super::args::{AuthMode, PullMode, ServeArgs};

/// A secret shorter than this can be guessed (RFC 7518 §3.2 asks for 256 bits with HS256).
pub const MIN_SECRET_BYTES: usize = 32;

/// The least byte budget that still lets a block of the largest entry through.
const MIN_BUDGET: ByteSize = ByteSize::mib(1);

/// The least time between two polls for statuses.
const MIN_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// A configuration that makes sense.
#[derive(Debug, Clone)]
pub struct Config {
    args: ServeArgs,
    pull_from: Option<Uri>,
}

/// A setting that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// JWT without a secret.
    #[error(
        "auth is jwt and there is no secret: set --jwt-secret or JWT_SECRET, \
         or on a loopback address --auth none"
    )]
    NoSecret,
    /// The secret is empty or guessable.
    #[error("jwt-secret is {bytes} bytes, it needs at least {MIN_SECRET_BYTES}")]
    ShortSecret {
        /// The found length.
        bytes: usize,
    },
    /// Reading without auth beyond this machine.
    #[error("auth none is for loopback only, and http-addr is {0}")]
    OpenReading(SocketAddr),
    /// Pushing without auth beyond this machine, unasked.
    #[error(
        "grpc-addr {0} is not on loopback and takes pushes from everyone: say --push-auth none if that is meant"
    )]
    OpenPushing(SocketAddr),
    /// A number outside its range.
    #[error("{name} is {value}, it needs {rule}")]
    OutOfRange {
        /// The setting's name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it needs.
        rule: String,
    },
    /// The address to pull from cannot be read.
    #[error(
        "pull-from is {value:?}, it needs the form http://host:port, https://host:port or host:port"
    )]
    PullFrom {
        /// The found value, without a credential.
        value: String,
    },
    /// Pulling without an address.
    #[error("pull-mode is always and there is no --pull-from")]
    PullFromNowhere,
    /// The log filter cannot be read.
    #[error("log is {value:?}: {reason}")]
    LogFilter {
        /// The found value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Config {
    /// Checks `args`.
    ///
    /// # Errors
    /// Names the first setting that makes no sense, its value and the rule.
    pub fn new(mut args: ServeArgs) -> Result<Self, ConfigError> {
        if let Some(port) = args.port {
            args.http_addr.set_port(port);
        }
        args.frontend_url.truncate(args.frontend_url.trim_end_matches('/').len());
        check_access(&args)?;
        check_limits(&args)?;
        check_times(&args)?;
        check_log_filter(&args.log)?;
        let pull_from = args.pull_from.as_deref().map(source).transpose()?;
        if pull_from.is_none() && args.pull_mode == PullMode::Always {
            return Err(ConfigError::PullFromNowhere);
        }
        Ok(Self { args, pull_from })
    }

    /// Where to pull from, in client mode: scheme and authority.
    pub fn pull_source(&self) -> Option<&Uri> {
        self.pull_from.as_ref().filter(|_| self.args.pull_mode != PullMode::Off)
    }
}

impl std::ops::Deref for Config {
    type Target = ServeArgs;
    fn deref(&self) -> &ServeArgs {
        &self.args
    }
}

fn check_access(args: &ServeArgs) -> Result<(), ConfigError> {
    match (args.auth, &args.jwt_secret) {
        (AuthMode::Jwt, None) => return Err(ConfigError::NoSecret),
        (AuthMode::Jwt, Some(secret)) if secret.len() < MIN_SECRET_BYTES => {
            return Err(ConfigError::ShortSecret { bytes: secret.len() });
        }
        (AuthMode::None, _) if !args.http_addr.ip().is_loopback() => {
            return Err(ConfigError::OpenReading(args.http_addr));
        }
        _ => {}
    }
    if args.push_auth.is_none() && !args.grpc_addr.ip().is_loopback() {
        return Err(ConfigError::OpenPushing(args.grpc_addr));
    }
    Ok(())
}

fn check_limits(args: &ServeArgs) -> Result<(), ConfigError> {
    let budgets = [
        ("segment-bytes", args.segment_bytes),
        ("queue-bytes", args.queue_bytes),
        ("hub-bytes", args.hub_bytes),
    ];
    for (name, size) in budgets {
        require(size >= MIN_BUDGET, name, size, || format!("at least {MIN_BUDGET}"))?;
    }
    let entry = args.max_entry_bytes;
    let entry_range = ByteSize::kib(1)..=ByteSize::mib(4);
    require(entry_range.contains(&entry), "max-entry-bytes", entry, || "1 KiB to 4 MiB".into())?;
    let counts = [
        ("max-push-streams", args.max_push_streams),
        ("max-registered-workers", args.max_registered_workers),
        ("max-viewers", args.max_viewers),
    ];
    let threads = args.threads.unwrap_or(1);
    require((1..=1024).contains(&threads), "threads", threads, || "1 to 1024".into())?;
    for (name, count) in counts {
        require((1..=1_000_000).contains(&count), name, count, || "1 to 1000000".into())?;
    }
    Ok(())
}

fn check_times(args: &ServeArgs) -> Result<(), ConfigError> {
    let times = [
        ("store-stall-timeout", Some(args.store_stall_timeout)),
        ("viewer-stall-timeout", Some(args.viewer_stall_timeout)),
        ("heartbeat", Some(args.heartbeat)),
        ("drain-timeout", Some(args.drain_timeout)),
        ("retention-age", args.retention_age),
        ("pull-after", Some(args.pull_after)),
    ];
    for (name, time) in times {
        let is_positive = time.is_none_or(|time| !time.is_zero());
        require(is_positive, name, "0", || "a positive duration, such as 30s".into())?;
    }
    let polling = args.pull_status_interval.unwrap_or_default();
    let is_bounded = polling.is_zero() || polling >= MIN_POLL_INTERVAL;
    let found = humantime::format_duration(polling);
    require(is_bounded, "pull-status-interval", found, || "0s or at least 1s".into())
}

/// The source's address; a text without a scheme is a host and port in plain text.
fn source(text: &str) -> Result<Uri, ConfigError> {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let parsed = with_scheme.parse::<Uri>().ok().filter(|uri| {
        let is_known = matches!(uri.scheme_str(), Some("http" | "https"));
        let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        is_known && is_bare && !authority.is_empty() && !authority.contains('@')
    });
    let without_credential = || text.rsplit('@').next().unwrap_or_default().to_owned();
    parsed.ok_or_else(|| ConfigError::PullFrom { value: without_credential() })
}

fn check_log_filter(filter: &str) -> Result<(), ConfigError> {
    match tracing_subscriber::EnvFilter::try_new(filter) {
        Ok(_) => Ok(()),
        Err(error) => {
            Err(ConfigError::LogFilter { value: filter.to_owned(), reason: error.to_string() })
        }
    }
}

fn require(
    holds: bool,
    name: &'static str,
    value: impl fmt::Display,
    rule: impl FnOnce() -> String,
) -> Result<(), ConfigError> {
    if holds {
        Ok(())
    } else {
        Err(ConfigError::OutOfRange { name, value: value.to_string(), rule: rule() })
    }
}
