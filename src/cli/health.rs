//! `health`: asks a running server whether it is ready, for container health checks.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

/// Ask a running server whether it is ready; the exit code is 0 when it is
///
///   otto-handler health --url http://127.0.0.1:4000
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The server's HTTP address
    #[arg(long, env = "OTTO_URL", value_name = "URL", default_value = "http://127.0.0.1:4000")]
    url: String,
    /// How long the answer may take
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

/// Runs the command.
///
/// # Errors
/// When the server does not answer.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let url = format!("{}/readyz", args.url.trim_end_matches('/'));
    let client = reqwest::Client::builder().timeout(args.timeout).build()?;
    let response =
        client.get(&url).send().await.with_context(|| format!("no answer from {url}"))?;
    let (status, body) = (response.status(), response.text().await?);
    if status.is_success() {
        println!("ready");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("not ready: {status}: {}", body.trim());
    Ok(ExitCode::FAILURE)
}
