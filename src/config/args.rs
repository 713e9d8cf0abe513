//! The flags of `serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::ValueEnum;

use super::address::{HttpAddr, socket_addr};
use super::file::FileSettings;
use super::life_cycle_args::LifeCycleArgs;
use super::observe_args::ObserveArgs;
use crate::http::BasePath;
use crate::store::Durability;

/// Who may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AuthMode {
    /// Readers show a JWT, by cookie or bearer token.
    Jwt,
    /// Everyone who reaches the port; allowed on loopback only.
    None,
}

/// Who may push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PushAuth {
    /// Everyone who reaches the port.
    None,
}

/// When to pull logs instead of having them pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PullMode {
    /// Never.
    Off,
    /// While nobody has pushed for --pull-after.
    Fallback,
    /// At all times.
    Always,
}

/// How the server's own log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Plain text.
    Text,
    /// One JSON object a line.
    Json,
}

/// Receive pushed logs, keep them, and stream them to browsers.
#[derive(Debug, Clone, clap::Args)]
pub struct ServeArgs {
    /// Read settings from a TOML file; its keys are the names of these flags
    #[arg(long, env = "OTTO_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Address that ottoscaler pushes to (gRPC); port 0 picks a free port
    #[arg(
        long,
        env = "OTTO_GRPC_ADDR",
        default_value = "127.0.0.1:8080",
        value_name = "ADDR",
        value_parser = socket_addr,
        help_heading = "Addresses"
    )]
    pub grpc_addr: SocketAddr,

    /// Address that browsers read from (HTTP); port 0 picks a free port. An address without a port gets
    /// that of --port
    #[arg(
        long,
        env = "OTTO_HTTP_ADDR",
        default_value = "127.0.0.1:4000",
        value_name = "ADDR",
        help_heading = "Addresses"
    )]
    pub http_addr: HttpAddr,

    /// Port of --http-addr. PORT, which hosting platforms set, gives way to a port in --http-addr or
    /// OTTO_HTTP_ADDR
    #[arg(long, env = "PORT", help_heading = "Addresses")]
    pub port: Option<u16>,

    /// Origin of the front end, which may read from a browser (CORS)
    #[arg(
        long,
        env = "FRONTEND_URL",
        default_value = "http://localhost:3000",
        value_name = "ORIGIN",
        help_heading = "Addresses"
    )]
    pub frontend_url: String,

    /// Path below which everything is answered, such as /logs, for a proxy that keeps its other paths for others;
    /// /health, /livez and /readyz are answered at the root too
    #[arg(
        long,
        env = "OTTO_BASE_PATH",
        default_value = "/",
        value_name = "PATH",
        help_heading = "Addresses"
    )]
    pub base_path: BasePath,

    /// Print the bound addresses as the first line of standard output, as JSON
    #[arg(long, help_heading = "Addresses")]
    pub print_addrs: bool,

    /// Who may read: holders of a JWT, or everyone (`none`, on loopback only)
    #[arg(long, env = "OTTO_AUTH", default_value = "jwt", help_heading = "Access")]
    pub auth: AuthMode,

    /// Secret that the readers' tokens are signed with (HS256), at least 32 bytes
    #[arg(
        long,
        env = "JWT_SECRET",
        hide_env_values = true,
        value_name = "SECRET",
        help_heading = "Access"
    )]
    pub jwt_secret: Option<String>,

    /// Who may push: everyone who reaches --grpc-addr (none). Must be given when that address is not
    /// on loopback
    #[arg(long, env = "OTTO_PUSH_AUTH", help_heading = "Access")]
    pub push_auth: Option<PushAuth>,

    /// Pull logs from this source when nobody pushes them: a URL, or host:port for plain text. The
    /// source serves otto.handler.v1.WorkerLogSource; https trusts the system's certificates
    #[arg(long, env = "OTTOSCALER_GRPC_URL", value_name = "URL", help_heading = "Pull")]
    pub pull_from: Option<String>,

    /// When to pull: while nobody pushes (fallback), at all times (always), or never (off). Without
    /// --pull-from nothing is pulled
    #[arg(long, env = "OTTO_PULL_MODE", default_value = "fallback", help_heading = "Pull")]
    pub pull_mode: PullMode,

    /// With --pull-mode fallback: pull once no push stream has been open for this long
    #[arg(
        long,
        env = "OTTO_PULL_AFTER",
        default_value = "30s",
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        help_heading = "Pull"
    )]
    pub pull_after: Duration,

    /// How often to ask --pull-from for the workers' status (GetWorkerStatus), also while somebody
    /// pushes; 0 for never. By default every 10s, while pulling only
    #[arg(
        long,
        env = "OTTO_PULL_STATUS_INTERVAL",
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        help_heading = "Pull"
    )]
    pub pull_status_interval: Option<Duration>,

    /// Directory that the log is kept in; created when it is missing
    #[arg(
        long,
        env = "OTTO_DATA_DIR",
        default_value = "./data",
        value_name = "DIR",
        help_heading = "Store"
    )]
    pub data_dir: PathBuf,

    /// When an entry is acknowledged: once it is on disk (fsync), in the page cache (os), or in
    /// memory, without any files (memory)
    #[arg(long, env = "OTTO_DURABILITY", default_value = "fsync", help_heading = "Store")]
    pub durability: Durability,

    /// Delete entries older than this, such as 30d; by default nothing is deleted
    #[arg(
        long,
        env = "OTTO_RETENTION_AGE",
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        help_heading = "Store"
    )]
    pub retention_age: Option<Duration>,

    /// Delete the oldest entries once the log takes more than this on disk, such as 50GiB
    #[arg(long, env = "OTTO_RETENTION_BYTES", value_name = "SIZE", help_heading = "Store")]
    pub retention_bytes: Option<ByteSize>,

    /// Delete finished tasks whose last entry is older than this, such as 30d. Their bytes go with
    /// their segments, see --retention-age
    #[arg(
        long,
        env = "OTTO_TASK_RETENTION_AGE",
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        help_heading = "Store"
    )]
    pub task_retention_age: Option<Duration>,

    /// Delete the oldest finished tasks while there are more tasks than this
    #[arg(long, env = "OTTO_TASK_RETENTION_COUNT", value_name = "NUMBER", help_heading = "Store")]
    pub task_retention_count: Option<usize>,

    /// Show only the first quarter and the newest half of a task that is larger than this, such as
    /// 200MiB; the lines between are deleted with their segments. By default a task is shown whole
    #[arg(long, env = "OTTO_TASK_BYTES", value_name = "SIZE", help_heading = "Store")]
    pub task_bytes: Option<ByteSize>,

    /// Take no entries while the volume of --data-dir has less than this free; 0 for no limit. By
    /// default a twentieth of the volume, 1 GiB at most
    #[arg(long, env = "OTTO_MIN_FREE_BYTES", value_name = "SIZE", help_heading = "Store")]
    pub min_free_bytes: Option<ByteSize>,

    /// Size at which a segment file is sealed; retention deletes whole segments
    #[arg(
        long,
        env = "OTTO_SEGMENT_BYTES",
        default_value = "256MiB",
        value_name = "SIZE",
        help_heading = "Store"
    )]
    pub segment_bytes: ByteSize,

    /// Memory for what was pushed and is not committed yet: messages that have not arrived whole,
    /// encoded entries, and --queue-bytes. A producer waits while it is used up
    #[arg(
        long,
        env = "OTTO_INGEST_BYTES",
        default_value = "64MiB",
        value_name = "SIZE",
        help_heading = "Limits"
    )]
    pub ingest_bytes: ByteSize,

    /// Memory for entries that wait to be written
    #[arg(
        long,
        env = "OTTO_QUEUE_BYTES",
        default_value = "16MiB",
        value_name = "SIZE",
        help_heading = "Limits"
    )]
    pub queue_bytes: ByteSize,

    /// Memory for the newest entries, which all viewers share
    #[arg(
        long,
        env = "OTTO_HUB_BYTES",
        default_value = "32MiB",
        value_name = "SIZE",
        help_heading = "Limits"
    )]
    pub hub_bytes: ByteSize,

    /// Memory for what slow readers have not taken yet: downloads, pages, and viewers that have
    /// stopped. When it is used up they go on in small steps
    #[arg(
        long,
        env = "OTTO_READER_BYTES",
        default_value = "64MiB",
        value_name = "SIZE",
        help_heading = "Limits"
    )]
    pub reader_bytes: ByteSize,

    /// Size of the largest entry; a longer line is kept in parts of this size
    #[arg(
        long,
        env = "OTTO_MAX_ENTRY_BYTES",
        default_value = "1MiB",
        value_name = "SIZE",
        help_heading = "Limits"
    )]
    pub max_entry_bytes: ByteSize,

    /// Size of the longest line, 16 MiB where the memory for it is there; of a longer one the head is
    /// kept, with a mark
    #[arg(long, env = "OTTO_MAX_LINE_BYTES", value_name = "SIZE", help_heading = "Limits")]
    pub max_line_bytes: Option<ByteSize>,

    /// Number of threads that serve connections; by default one per core
    #[arg(
        long,
        alias = "workers",
        env = "OTTO_THREADS",
        value_name = "N",
        help_heading = "Limits"
    )]
    pub threads: Option<usize>,

    /// How many push streams may be open at once
    #[arg(
        long,
        env = "OTTO_MAX_PUSH_STREAMS",
        default_value_t = 4096,
        value_name = "N",
        help_heading = "Limits"
    )]
    pub max_push_streams: usize,

    /// How many worker pods may be registered at once to push their own logs
    #[arg(
        long,
        env = "OTTO_MAX_REGISTERED_WORKERS",
        default_value_t = 10_000,
        value_name = "N",
        help_heading = "Limits"
    )]
    pub max_registered_workers: usize,

    /// How many viewers may be connected at once
    #[arg(
        long,
        env = "OTTO_MAX_VIEWERS",
        default_value_t = 1000,
        value_name = "N",
        help_heading = "Limits"
    )]
    pub max_viewers: usize,

    /// How long a producer waits for a full store before it is answered RETRY
    #[arg(
        long,
        env = "OTTO_STORE_STALL_TIMEOUT",
        default_value = "30s",
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        help_heading = "Times"
    )]
    pub store_stall_timeout: Duration,

    /// Close a viewer that has read nothing for this long
    #[arg(
        long,
        env = "OTTO_VIEWER_STALL_TIMEOUT",
        default_value = "60s",
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        help_heading = "Times"
    )]
    pub viewer_stall_timeout: Duration,

    /// Send a heartbeat on a stream that was silent for this long
    #[arg(
        long,
        env = "OTTO_HEARTBEAT",
        default_value = "15s",
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        help_heading = "Times"
    )]
    pub heartbeat: Duration,

    /// When a task is complete
    #[command(flatten)]
    pub life_cycle: LifeCycleArgs,

    /// How long a shutdown may take in all
    #[arg(
        long,
        env = "OTTO_DRAIN_TIMEOUT",
        default_value = "25s",
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        help_heading = "Times"
    )]
    pub drain_timeout: Duration,

    /// What an operator sees of the server.
    #[command(flatten)]
    pub observe: ObserveArgs,

    /// What the server logs about itself, as tracing filter directives, such as info or debug
    #[arg(
        long,
        env = "OTTO_LOG",
        default_value = "info",
        value_name = "FILTER",
        help_heading = "Logging"
    )]
    pub log: String,

    /// Format of the server's own log, which goes to standard error
    #[arg(long, env = "OTTO_LOG_FORMAT", default_value = "text", help_heading = "Logging")]
    pub log_format: LogFormat,

    /// Every setting as given or defaulted, for the log.
    #[arg(skip)]
    pub effective: String,

    /// Where the settings stand that the file has set.
    #[arg(skip)]
    pub places: FileSettings,
}
