//! Checks the flags, each and together, and makes the configuration of them.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytesize::ByteSize;
use http::Uri;

use super::args::{AuthMode, LogFormat, PullMode, ServeArgs};
use super::file::FileSettings;
use super::options;
use crate::http::{HttpOptions, OptionsError};
use crate::ingest::Limits;
use crate::pull::PullOptions;
use crate::store::{Durability, StoreOptions};
use crate::tasks::{LifeCycle, TaskRetention};

/// A secret shorter than this can be guessed (RFC 7518 §3.2 asks for 256 bits with HS256).
pub const MIN_SECRET_BYTES: usize = 32;

/// The smallest byte budget in which a block of the largest entry fits.
const MIN_BUDGET: ByteSize = ByteSize::mib(1);

/// The least memory for what is not in the append queue yet; half of it has memory for the largest
/// message.
const MIN_ROOM: ByteSize = ByteSize::mib(8);

/// The least memory for readers: what the hub keeps for them, and the largest entry.
const MIN_READER_BYTES: ByteSize = ByteSize::mib(8);

/// The shortest time between two polls for statuses.
const MIN_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The shortest age: so often it is looked what is older.
const MIN_RETENTION_AGE: Duration = Duration::from_secs(1);

/// A checked configuration, in the terms of the parts that it is for.
#[derive(Debug)]
pub struct Config {
    /// Where producers push.
    pub grpc_addr: SocketAddr,
    /// Where browsers read.
    pub http_addr: SocketAddr,
    /// Where the metrics have a port of their own.
    pub metrics_addr: Option<SocketAddr>,
    /// Whether the bound addresses are printed.
    pub print_addrs: bool,
    /// How many threads serve connections.
    pub threads: usize,
    /// The store.
    pub store: StoreOptions,
    /// What the newest entries may take in memory, in bytes.
    pub hub_bytes: usize,
    /// When a task is complete.
    pub life_cycle: LifeCycle,
    /// Which finished tasks are kept.
    pub task_retention: TaskRetention,
    /// Bounds on what producers may do.
    pub limits: Limits,
    /// How many workers may be registered at once.
    pub max_registered_workers: usize,
    /// Pulling; `None` where nothing is pulled.
    pub pull: Option<PullOptions>,
    /// The HTTP side.
    pub http: HttpOptions,
    /// How long a shutdown may take.
    pub drain_timeout: Duration,
    /// What the server logs of itself, as tracing filter directives.
    pub log: String,
    /// How that is written.
    pub log_format: LogFormat,
    /// Every setting as given or defaulted, for the log.
    pub effective: String,
}

/// A setting that cannot be served with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// `--auth jwt` without a secret.
    #[error(
        "auth is jwt, which needs a secret: set JWT_SECRET or --jwt-secret, \
         or, on a loopback address, --auth none"
    )]
    NoSecret,
    /// The secret is empty or guessable.
    #[error("jwt-secret is {bytes} bytes, it needs at least {MIN_SECRET_BYTES}")]
    ShortSecret {
        /// The found length.
        bytes: usize,
    },
    /// Reading without auth beyond this machine.
    #[error("auth is none, which is allowed on loopback only, and http-addr is {0}")]
    OpenReading(SocketAddr),
    /// Pushing without auth beyond this machine, which was not asked for.
    #[error(
        "grpc-addr is {0}, which everyone who reaches it could push to: set --push-auth none to allow that"
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
    #[error("pull-from is {value:?}, expected http://host:port, https://host:port or host:port")]
    PullFrom {
        /// The found value, without a credential.
        value: String,
    },
    /// `--pull-mode always` without an address.
    #[error("pull-mode is always, which needs --pull-from")]
    NothingToPullFrom,
    /// The log filter cannot be read.
    #[error("log is {value:?}: {reason}")]
    LogFilter {
        /// The found value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An option of the HTTP side.
    #[error(transparent)]
    Http(#[from] OptionsError),
    /// A setting that stands in the configuration file.
    #[error("{place}: {error}")]
    InFile {
        /// The file and the line.
        place: String,
        /// What is wrong there.
        error: Box<ConfigError>,
    },
}

impl ConfigError {
    /// With file and line, where the setting that is wrong stands in a file.
    fn at_its_place(self, places: &FileSettings) -> Self {
        match self.settings().iter().find_map(|name| places.place_of(name)) {
            Some(place) => Self::InFile { place, error: Box::new(self) },
            None => self,
        }
    }

    /// The names of the settings that may be meant.
    fn settings(&self) -> Vec<&'static str> {
        match self {
            Self::NoSecret => vec!["auth"],
            Self::ShortSecret { .. } => vec!["jwt-secret"],
            Self::OpenReading(_) => vec!["auth", "http-addr"],
            Self::OpenPushing(_) => vec!["grpc-addr"],
            Self::OutOfRange { name, .. } => vec![name],
            Self::PullFrom { .. } => vec!["pull-from"],
            Self::NothingToPullFrom => vec!["pull-mode"],
            Self::LogFilter { .. } => vec!["log"],
            Self::Http(error) => vec![error.setting()],
            Self::InFile { .. } => Vec::new(),
        }
    }
}

impl Config {
    /// Checks `args`.
    ///
    /// # Errors
    /// Names the first setting that breaks a rule, its value and the rule.
    pub fn new(args: ServeArgs) -> Result<Self, ConfigError> {
        let places = args.places.clone();
        Self::checked(args).map_err(|error| error.at_its_place(&places))
    }

    fn checked(args: ServeArgs) -> Result<Self, ConfigError> {
        let http_addr = args.http_addr.with_port(args.port);
        check_access(&args, http_addr)?;
        check_limits(&args)?;
        check_times(&args)?;
        check_log_filter(&args.log)?;
        let http = options::http(&args);
        http.check()?;
        let pull_from = args.pull_from.as_deref().map(pull_source).transpose()?;
        if pull_from.is_none() && args.pull_mode == PullMode::Always {
            return Err(ConfigError::NothingToPullFrom);
        }
        Ok(Self {
            grpc_addr: args.grpc_addr,
            http_addr,
            metrics_addr: args.observe.metrics_addr,
            print_addrs: args.print_addrs,
            threads: options::threads(&args),
            store: options::store(&args),
            hub_bytes: args.hub_bytes.as_u64() as usize,
            life_cycle: LifeCycle {
                grace: args.life_cycle.task_grace,
                worker_lost_after: args.life_cycle.worker_lost_after,
                quiet_period: args.life_cycle.task_quiet_period,
            },
            task_retention: TaskRetention {
                age: options::limit(args.task_retention_age),
                count: options::limit(args.task_retention_count),
            },
            limits: options::limits(&args),
            max_registered_workers: args.max_registered_workers,
            pull: options::pull(&args, pull_from),
            http,
            drain_timeout: args.drain_timeout,
            log: args.log,
            log_format: args.log_format,
            effective: args.effective,
        })
    }
}

fn check_access(args: &ServeArgs, http_addr: SocketAddr) -> Result<(), ConfigError> {
    match (args.auth, &args.jwt_secret) {
        (AuthMode::Jwt, None) => return Err(ConfigError::NoSecret),
        (AuthMode::Jwt, Some(secret)) if secret.len() < MIN_SECRET_BYTES => {
            return Err(ConfigError::ShortSecret { bytes: secret.len() });
        }
        (AuthMode::None, _) if !http_addr.ip().is_loopback() => {
            return Err(ConfigError::OpenReading(http_addr));
        }
        _ => {}
    }
    if args.push_auth.is_none() && !args.grpc_addr.ip().is_loopback() {
        return Err(ConfigError::OpenPushing(args.grpc_addr));
    }
    Ok(())
}

fn check_limits(args: &ServeArgs) -> Result<(), ConfigError> {
    let is_enough = args.reader_bytes >= MIN_READER_BYTES;
    let reader_rule = || format!("at least {MIN_READER_BYTES}");
    require(is_enough, "reader-bytes", args.reader_bytes, reader_rule)?;
    let budgets = [
        ("segment-bytes", args.segment_bytes),
        ("queue-bytes", args.queue_bytes),
        ("hub-bytes", args.hub_bytes),
    ];
    let kept = options::limit(args.retention_bytes).map(|size| ("retention-bytes", size));
    let task_bytes = options::limit(args.task_bytes);
    let of_task = task_bytes.map(|size| ("task-bytes", size));
    for (name, size) in budgets.into_iter().chain(kept).chain(of_task) {
        require(size >= MIN_BUDGET, name, size, || format!("at least {MIN_BUDGET}"))?;
    }
    if let (Durability::Memory, Some(size)) = (args.durability, task_bytes) {
        let rule = || "no limit with durability memory, which shows no more than hub-bytes".into();
        require(false, "task-bytes", size, rule)?;
    }
    let ingest_rule = || format!("at least queue-bytes and {MIN_ROOM} more");
    let is_enough = args.ingest_bytes.as_u64() >= args.queue_bytes.as_u64() + MIN_ROOM.as_u64();
    require(is_enough, "ingest-bytes", args.ingest_bytes, ingest_rule)?;
    let entry = args.max_entry_bytes;
    let entry_range = ByteSize::kib(1)..=ByteSize::mib(4);
    require(entry_range.contains(&entry), "max-entry-bytes", entry, || "1 KiB to 4 MiB".into())?;
    if let Some(line) = args.max_line_bytes {
        let longest = options::longest_line(args);
        let rule =
            || format!("max-entry-bytes, {entry}, to {longest}, for which ingest-bytes has memory");
        require((entry..=longest).contains(&line), "max-line-bytes", line, rule)?;
    }
    let counts = [
        ("max-push-streams", args.max_push_streams),
        ("max-registered-workers", args.max_registered_workers),
        ("max-viewers", args.max_viewers),
        ("task-retention-count", options::limit(args.task_retention_count).unwrap_or(1)),
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
        ("pull-after", Some(args.pull_after)),
    ];
    for (name, time) in times {
        let is_positive = time.is_none_or(|time| !time.is_zero());
        require(is_positive, name, "0", || "a positive duration, such as 30s".into())?;
    }
    let ages =
        [("retention-age", args.retention_age), ("task-retention-age", args.task_retention_age)];
    for (name, age) in ages {
        let age = options::limit(age).unwrap_or(MIN_RETENTION_AGE);
        let found = humantime::format_duration(age);
        require(age >= MIN_RETENTION_AGE, name, found, || "0 or at least 1s".into())?;
    }
    let polling = args.pull_status_interval.unwrap_or_default();
    let is_bounded = polling.is_zero() || polling >= MIN_POLL_INTERVAL;
    let found = humantime::format_duration(polling);
    require(is_bounded, "pull-status-interval", found, || "0 or at least 1s".into())
}

/// The source's address; a text without a scheme is a host and port in plain text.
fn pull_source(text: &str) -> Result<Uri, ConfigError> {
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
