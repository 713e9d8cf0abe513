//! `verify`: checks that a server keeps its word.

mod report;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use http::Uri;
use reqwest::Url;
use tokio_util::sync::CancellationToken;

use super::address::{grpc_url, http_url};
use super::signals::StopSignals;
use crate::causes::with_causes;
use crate::verify::judge::{Outcome, Verdict};
use crate::verify::plan::{FaultKind, Plan};
use crate::verify::{OwnServer, SharedServer, probe, replay, run_own};
use report::Console;

/// The exit code for: something is violated.
const EXIT_VIOLATED: u8 = 1;
/// The exit code for: it could not be found out.
const EXIT_UNKNOWN: u8 = 2;

/// Check that a server loses, repeats and reorders nothing, whatever happens to it
///
/// Starts a server of its own, pushes numbered lines and follows them, while it kills and stops the
/// server and cuts connections. At the end it reads everything back and compares.
///
///   otto-handler verify --duration 2m
///   otto-handler verify --seed 7 --faults kill,reset --history run.jsonl
///   otto-handler verify --replay run.jsonl
///   otto-handler verify --url http://logs:4000 --grpc http://logs:8080 --duration 0
///   otto-handler verify -- --durability os
///
/// Faults: kill, kill-start, kill-roll, kill-shutdown, kill-retention, term, stop, cut, reset,
/// stall, slow-viewers, stopped-viewers, full, inodes, descriptors, damage. Without --faults all but
/// kill-retention, full, inodes and damage. Against a running server there are none, and lines come
/// slowly.
///
/// Exit code: 0 when nothing is violated, 1 when something is, 2 when it could not be found out.
#[derive(Debug, Clone, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The same seed gives the same lines and the same order of faults; by default another every time
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How long lines are produced; against a running server 0 means until it is stopped
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// How many producers; by default 6, and 2 against a running server
    #[arg(long, value_name = "N")]
    producers: Option<usize>,
    /// How many viewers; by default 6, and 2 against a running server
    #[arg(long, value_name = "N")]
    viewers: Option<usize>,
    /// Lines a second of each producer; by default 50, and 2 against a running server
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// What is done to the server, separated by commas; `all` and `none` are known too
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    faults: Vec<String>,
    /// About how far apart faults are
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = humantime::parse_duration)]
    fault_every: Duration,
    /// How long the server may take to come back and to catch up after the last fault
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    patience: Duration,
    /// How often progress is told on standard error; 0 for never
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    progress: Duration,
    /// Where the started server keeps its log; by default in a directory that goes with the run
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    data_dir: Option<PathBuf>,
    /// Write what happened to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Judge a file that --history wrote, without any server
    #[arg(long, value_name = "FILE", conflicts_with_all = ["url", "history"])]
    replay: Option<PathBuf>,
    /// Check the running server with this HTTP address
    #[arg(long, value_name = "URL", value_parser = http_url, requires = "grpc", conflicts_with = "faults")]
    url: Option<Url>,
    /// Its gRPC address
    #[arg(long, value_name = "URL", value_parser = grpc_url, requires = "url")]
    grpc: Option<Uri>,
    /// A token for both ports of a running server, where they ask for one
    #[arg(long, env = "OTTO_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Print the verdict as JSON
    #[arg(long)]
    json: bool,
    /// More flags for the server that is started
    #[arg(last = true, value_name = "SERVE FLAGS", conflicts_with = "url")]
    flags: Vec<OsString>,
}

/// Runs the command.
///
/// # Errors
/// When the arguments make no sense. What keeps it from a verdict later is exit code 2.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let plan = plan(&args)?;
    let outcome = check(&args, &plan).await.unwrap_or_else(|error| {
        eprintln!("otto-handler verify: {}", with_causes(error.as_ref()));
        Outcome::Unknown
    });
    Ok(match outcome {
        Outcome::Sound => ExitCode::SUCCESS,
        Outcome::Violated => ExitCode::from(EXIT_VIOLATED),
        Outcome::Unknown => ExitCode::from(EXIT_UNKNOWN),
    })
}

fn plan(args: &Args) -> anyhow::Result<Plan> {
    let is_shared = args.url.is_some();
    let or =
        |given: Option<usize>, own, shared| given.unwrap_or(if is_shared { shared } else { own });
    let rate = args.rate.unwrap_or(if is_shared { 2.0 } else { 50.0 });
    ensure!(rate.is_finite() && rate > 0.0, "rate is {rate}, it needs to be above 0");
    let is_endless = args.duration.is_zero() && !is_shared && args.replay.is_none();
    ensure!(!is_endless, "duration is 0, which is for a running server (--url) only");
    let producers = or(args.producers, 6, 2);
    ensure!(!args.fault_every.is_zero(), "fault-every is 0, it needs to be above 0");
    ensure!(producers > 0, "producers is 0, it needs at least 1");
    Ok(Plan {
        seed: args.seed.unwrap_or_else(|| u64::from(fastrand::u32(..))),
        duration: args.duration,
        producers,
        viewers: or(args.viewers, 6, 2),
        rate,
        faults: if is_shared { Vec::new() } else { faults(&args.faults)? },
        fault_every: args.fault_every,
        patience: args.patience,
    })
}

fn faults(named: &[String]) -> anyhow::Result<Vec<FaultKind>> {
    let named: Vec<_> = named.iter().map(String::as_str).collect();
    Ok(match named[..] {
        [] => FaultKind::defaults(),
        ["all"] => FaultKind::ALL.to_vec(),
        ["none"] => Vec::new(),
        _ => named.iter().map(|name| name.parse()).collect::<Result<_, _>>()?,
    })
}

async fn check(args: &Args, plan: &Plan) -> anyhow::Result<Outcome> {
    let console = Console { is_json: args.json };
    if let Some(file) = &args.replay {
        return judge_file(file, console);
    }
    if let Some(file) = &args.history {
        std::fs::File::create(file).with_context(|| format!("cannot make {}", file.display()))?;
    }
    let names: Vec<_> = plan.faults.iter().map(|kind| kind.as_str()).collect();
    eprintln!(
        "seed {}, faults: {}",
        plan.seed,
        if names.is_empty() { "none".into() } else { names.join(", ") }
    );
    let stop = stopping()?;
    let progress = (
        Arc::new(report::print_progress) as _,
        if args.progress.is_zero() { Duration::MAX } else { args.progress },
    );
    let history = args.history.as_deref();
    if let (Some(http), Some(grpc)) = (&args.url, &args.grpc) {
        let (http, grpc, token) = (http.clone(), grpc.clone(), args.token.clone());
        let shared = SharedServer { http, grpc, token };
        let told = |verdict: &Verdict| console.verdict(verdict);
        return Ok(probe(plan, &shared, history, progress, stop, told).await?);
    }
    let program = std::env::current_exe().context("cannot tell which program this is")?;
    let own = OwnServer { program, data_dir: args.data_dir.clone(), flags: args.flags.clone() };
    let report = run_own(plan, &own, history, progress, stop).await?;
    report.skipped.iter().for_each(|skipped| eprintln!("skipped {skipped}"));
    console.verdict(&report.verdict);
    if let Some(dir) = &report.kept_in {
        eprintln!("the server's log and files are kept in {}", dir.display());
    }
    Ok(report.verdict.outcome())
}

fn judge_file(file: &Path, console: Console) -> anyhow::Result<Outcome> {
    let judges = replay(file).with_context(|| format!("cannot replay {}", file.display()))?;
    ensure!(!judges.is_empty(), "{} holds no run", file.display());
    let mut worst = Outcome::Sound;
    for judge in judges {
        let verdict = judge.finish();
        console.verdict(&verdict);
        worst = worst.max(verdict.outcome());
    }
    Ok(worst)
}

/// Cancelled at the first SIGINT or SIGTERM: producing ends then, and the verdict is made.
fn stopping() -> std::io::Result<CancellationToken> {
    let (stop, mut signals) = (CancellationToken::new(), StopSignals::listen()?);
    let stopped = stop.clone();
    tokio::spawn(async move {
        signals.first().await;
        stopped.cancel();
    });
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        args: Args,
    }

    fn args(flags: &[&str]) -> Result<Args, clap::Error> {
        let flags = ["verify"].iter().chain(flags);
        let matches = Program::command().try_get_matches_from(flags)?;
        Program::from_arg_matches(&matches).map(|program| program.args)
    }

    #[test]
    fn a_running_server_is_checked_gently_and_without_faults() {
        let flags = ["--url", "http://a:1", "--grpc", "http://a:2", "--duration", "0"];
        let plan = plan(&args(&flags).unwrap()).unwrap();
        assert_eq!((plan.producers, plan.viewers, plan.faults), (2, 2, Vec::new()));
        assert!(args(&["--url", "http://a:1"]).is_err());
    }

    #[test]
    fn faults_are_read_by_name() {
        let named = |list: &str| plan(&args(&["--faults", list]).unwrap()).map(|plan| plan.faults);
        assert_eq!(named("kill,reset").unwrap(), [FaultKind::Kill, FaultKind::Reset]);
        assert_eq!(named("none").unwrap(), []);
        assert_eq!(named("all").unwrap(), FaultKind::ALL);
        assert!(named("kill,fire").unwrap_err().to_string().starts_with("\"fire\" is not a fault"));
    }

    #[test]
    fn the_help_names_every_fault() {
        let help = Program::command().render_long_help().to_string();
        let is_named = |kind: &&FaultKind| help.contains(kind.as_str());
        assert_eq!(FaultKind::ALL.iter().filter(is_named).count(), FaultKind::ALL.len());
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        for flags in [["--rate", "0"], ["--rate", "inf"], ["--producers", "0"], ["--duration", "0"]]
        {
            assert!(plan(&args(&flags).unwrap()).is_err(), "{flags:?}");
        }
    }
}
