//! `health`: asks a running server whether it is ready, for container health checks.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::Url;

use super::address::http_url;
use crate::causes::root_cause;
use crate::client::https;
use crate::config::configured_http_addr;

/// Ask a running server whether it is ready; the exit code is 0 when it is
///
///   otto-handler health
///   otto-handler health --url http://127.0.0.1:4000
///
/// Without --url it asks where `otto-handler serve` listens with these variables and this file
/// (OTTO_HTTP_ADDR, PORT, OTTO_CONFIG).
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The server's HTTP address
    #[arg(long, env = "OTTO_URL", value_name = "URL", value_parser = http_url)]
    url: Option<Url>,
    /// The configuration file of the server
    #[arg(long, env = "OTTO_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// How long the answer may take; 0 for as long as it takes
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

/// Runs the command.
///
/// # Errors
/// When the server does not answer.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let url = match &args.url {
        Some(url) => url.clone(),
        None => configured_url(&args)?,
    };
    let url = format!("{}/readyz", url.as_str().trim_end_matches('/'));
    let mut client = https::builder();
    if !args.timeout.is_zero() {
        client = client.timeout(args.timeout);
    }
    let sent = client.build()?.get(&url).send().await;
    let response = match sent {
        Ok(response) => response,
        Err(error) if error.is_timeout() => {
            bail!("no answer from {url} for {}", humantime::format_duration(args.timeout))
        }
        Err(error) => bail!("cannot connect to {url}: {}", root_cause(&error)),
    };
    let (status, body) = (response.status(), response.text().await?);
    if status.is_success() {
        println!("ready");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("not ready: {status}: {}", body.trim());
    Ok(ExitCode::FAILURE)
}

/// Where a server with this environment and this file listens.
fn configured_url(args: &Args) -> anyhow::Result<Url> {
    let addr = match configured_http_addr(args.config.as_deref()) {
        Ok(addr) => addr,
        // As `serve` would say it, without what clap puts around.
        Err(error) => bail!("{}", error.to_string().trim_start_matches("error: ").trim_end()),
    };
    if addr.port() == 0 {
        bail!("http-addr has port 0, so only the server knows its port: give --url");
    }
    format!("http://{addr}").parse().context("the configured address")
}
