//! The flags that say what an operator sees of the server.

use std::net::SocketAddr;

use super::address::socket_addr;

/// What an operator sees of the server.
#[derive(Debug, Clone, clap::Args)]
pub struct ObserveArgs {
    /// Address that Prometheus scrapes, for everyone who reaches it; port 0 picks a free port. By
    /// default /metrics is on --http-addr, and with --auth jwt needs a token without --task
    #[arg(
        long,
        env = "OTTO_METRICS_ADDR",
        value_name = "ADDR",
        value_parser = socket_addr,
        help_heading = "Addresses"
    )]
    pub metrics_addr: Option<SocketAddr>,

    /// Log each HTTP request when its answer has gone: method, path without the query, status, bytes, time
    #[arg(long, env = "OTTO_ACCESS_LOG", help_heading = "Logging")]
    pub access_log: bool,
}
