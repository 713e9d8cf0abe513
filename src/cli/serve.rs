//! `otto-handler serve`.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, LogFormat, ServeArgs};
use crate::server::{Addrs, Server};

/// Serves until SIGTERM or SIGINT.
pub(super) async fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let config = Config::new(args)?;
    start_logging(&config);
    tracing::info!("configuration: {}", config.effective);
    // Before anyone learns that the server is there, and stops it.
    let stop = stop_signal()?;
    let print_addrs_wanted = config.print_addrs;
    let server = Server::start(config).await?;
    if print_addrs_wanted {
        print_addrs(server.addrs())?;
    }
    server.run_until(stop).await?;
    Ok(ExitCode::SUCCESS)
}

/// Starts the process's own log, on standard error.
pub(super) fn start_logging(config: &Config) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(&config.log))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

fn print_addrs(addrs: Addrs) -> std::io::Result<()> {
    let line =
        serde_json::json!({ "grpc": addrs.grpc.to_string(), "http": addrs.http.to_string() });
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Resolves at the first SIGTERM or SIGINT.
pub(super) fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!("{name}: shutting down");
    })
}
