//! `otto-handler serve`.

use std::io::Write;
use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use super::signals::StopSignals;
use crate::config::{Config, ServeArgs};
use crate::logging;
use crate::server::{Addrs, Server};

/// Serves until a signal stops it; a second one ends it at once.
pub(super) async fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let config = Config::new(args)?;
    logging::start(&config.log, config.log_format)?;
    tracing::info!("configuration: {}", config.effective);
    // Before anyone learns that the server is there, and stops it.
    let mut signals = StopSignals::listen()?;
    let print_addrs_wanted = config.print_addrs;
    let server = Server::start(config).await?;
    if print_addrs_wanted && let Err(error) = print_addrs(server.addrs()) {
        tracing::warn!(%error, "the addresses could not be printed");
    }
    let stop = CancellationToken::new();
    tokio::select! {
        ended = server.run_until(stop.clone().cancelled_owned()) => {
            ended?;
            Ok(ExitCode::SUCCESS)
        }
        name = stopped_twice(&mut signals, &stop) => {
            anyhow::bail!("a second signal, {name}: ended before everything received was kept")
        }
    }
}

/// Cancels `stop` at the first signal and resolves at the second.
async fn stopped_twice(signals: &mut StopSignals, stop: &CancellationToken) -> &'static str {
    signals.first().await;
    stop.cancel();
    signals.second().await
}

fn print_addrs(addrs: Addrs) -> std::io::Result<()> {
    let mut line =
        serde_json::json!({ "grpc": addrs.grpc.to_string(), "http": addrs.http.to_string() });
    if let Some(metrics) = addrs.metrics {
        line["metrics"] = metrics.to_string().into();
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
