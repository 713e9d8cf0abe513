//! `demo`: a server with a simulated ottoscaler that keeps it busy.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use http::Uri;

use super::signals::StopSignals;
use crate::config::{Config, HttpAddr, ServeArgs, socket_addr};
use crate::domain::{TaskId, now_ms};
use crate::http::{Claims, sign};
use crate::logging;
use crate::server::Server;
use crate::simulate::{Ending, LineRate, Plan, push};

/// How long the demo's sign-in lasts, in seconds.
const SESSION_SECONDS: u64 = 12 * 60 * 60;

/// Lines a second of each worker: fast enough to scroll, slow enough to read.
const LINES_PER_SECOND: f64 = 12.0;

/// How much later the second build starts, so that the two are at different steps.
const STAGGER: Duration = Duration::from_secs(3);

/// The pause between two rounds.
const BETWEEN_ROUNDS: Duration = Duration::from_secs(5);

/// Run a server with simulated builds to look at
///
/// Prints a link that signs the browser in. Only the builds are simulated: they are pushed over
/// gRPC, kept on disk, and streamed to the browser.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address that the simulated ottoscaler pushes to (gRPC); port 0 picks a free port
    #[arg(long, env = "OTTO_GRPC_ADDR", default_value = "127.0.0.1:8080", value_name = "ADDR", value_parser = socket_addr)]
    grpc_addr: SocketAddr,
    /// Address that the browser reads from (HTTP), by default 127.0.0.1:4000; port 0 picks a free port
    #[arg(long, env = "OTTO_HTTP_ADDR", value_name = "ADDR")]
    http_addr: Option<HttpAddr>,
    /// Directory that the log is kept in; by default one that is deleted when the demo ends
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// How many rounds of two builds to simulate; 0 to go on until it is stopped
    #[arg(long, value_name = "N", default_value_t = 0)]
    rounds: u32,
    /// The same seed gives the same builds, line by line
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Runs the command.
///
/// # Errors
/// When the server cannot start or a simulated push fails.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let scratch = tempfile::tempdir().context("cannot make a directory for the demo")?;
    let data = args.data_dir.clone().unwrap_or_else(|| scratch.path().join("data"));
    let secret = secret()?;
    let config = config(&args, &data.display().to_string(), &secret)?;
    logging::start(&config.log, config.log_format)?;
    let mut signals = StopSignals::listen()?;
    let server = Server::start(config).await?;
    let to: Uri = format!("http://{}", server.addrs().grpc).parse()?;
    println!("{}", link(&server, &secret)?);
    let builds = tokio::spawn(rounds(to, args.rounds, args.seed));
    let stopped = async {
        tokio::select! {
            () = signals.first() => Ok(()),
            failed = failure(builds) => Err(failed),
        }
    };
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let (served, stopped) = tokio::join!(server.run_until(async { drop(receiver.await) }), async {
        let stopped = stopped.await;
        // Fails only when the server has ended by itself, which its own result reports.
        let _ = sender.send(());
        stopped
    });
    served.and(stopped)?;
    Ok(ExitCode::SUCCESS)
}

fn secret() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).context("cannot get random bytes from the system")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn config(args: &Args, data_dir: &str, secret: &str) -> anyhow::Result<Config> {
    let grpc_addr = args.grpc_addr.to_string();
    let http_addr = args.http_addr.map(|addr| addr.to_string());
    let http_addr = http_addr.as_deref().map(|addr| ("--http-addr", addr));
    let flags = [
        ("--grpc-addr", grpc_addr.as_str()),
        ("--data-dir", data_dir),
        ("--jwt-secret", secret),
        ("--log", "warn"),
    ];
    let flags = flags.into_iter().chain(http_addr).flat_map(|(name, value)| [name, value]);
    Ok(Config::new(ServeArgs::read(flags)?)?)
}

/// A link that signs the browser in once and shows the list of builds.
fn link(server: &Server, secret: &str) -> anyhow::Result<String> {
    let now = now_ms() / 1000;
    let (sub, exp) = ("demo".into(), now + SESSION_SECONDS);
    let claims = Claims { sub, exp, tasks: None, delete: false, push: false };
    let code = server.http().login_codes().issue(sign(secret.as_bytes(), &claims)?)?;
    let (addr, login) = (server.addrs().http, server.http().path("/login"));
    Ok(format!(
        "\n  Open http://{addr}{login}?code={code}\n\n  Two builds at a time scroll by. Ctrl-C ends the demo.\n"
    ))
}

/// Resolves only when the builds fail; a finished simulation leaves the server up to look at.
async fn failure(builds: tokio::task::JoinHandle<anyhow::Result<()>>) -> anyhow::Error {
    match builds.await {
        Ok(Ok(())) => std::future::pending().await,
        Ok(Err(error)) => error,
        Err(panic) => panic.into(),
    }
}

async fn rounds(to: Uri, rounds: u32, seed: u64) -> anyhow::Result<()> {
    let mut round = 0;
    while rounds == 0 || round < rounds {
        round += 1;
        let first = build(&to, seed, 2 * round - 1, Duration::ZERO);
        let second = build(&to, seed, 2 * round, STAGGER);
        tokio::try_join!(first, second)?;
        tokio::time::sleep(BETWEEN_ROUNDS).await;
    }
    Ok(())
}

/// One build; every third one has a worker that fails.
async fn build(to: &Uri, seed: u64, number: u32, delay: Duration) -> anyhow::Result<()> {
    tokio::time::sleep(delay).await;
    let failing = if number.is_multiple_of(3) { vec![2] } else { Vec::new() };
    let tasks = vec![TaskId::new(&format!("build-{number}"))?];
    let plan = Plan { seed: seed + u64::from(number), tasks, workers: 2, failing };
    let rate = LineRate::LinesPerSecond(LINES_PER_SECOND);
    push(to.clone(), &plan, rate, Ending::ReadAcks).await?;
    Ok(())
}
