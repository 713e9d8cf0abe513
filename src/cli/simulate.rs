//! `simulate`: simulates an ottoscaler with running builds.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use http::Uri;
use tokio::net::TcpListener;

use super::address::grpc_url;
use super::exit;
use super::signals::StopSignals;
use crate::config::socket_addr;
use crate::domain::TaskId;
use crate::simulate::{Ending, LineRate, Plan, Report, push, serve_pull};

/// Simulate an ottoscaler: push simulated CI builds over gRPC, or let them be pulled
///
///   otto-handler simulate --push-to http://127.0.0.1:8080 --tasks 2 --workers 3 --fail 2
///   otto-handler simulate --serve-pull 127.0.0.1:9090 --seed 7
///   otto-handler serve --pull-from http://127.0.0.1:9090 ...
///
/// At the end of a push it says how many lines the server keeps, by its acks, and ends with 0 when
/// that is all of them, else with 5.
#[derive(Debug, Clone, clap::Args)]
#[command(verbatim_doc_comment)]
#[command(group(clap::ArgGroup::new("way").required(true).args(["push_to", "serve_pull"])))]
pub(super) struct Args {
    /// Push to the server with this gRPC address
    #[arg(long, env = "OTTO_SIMULATE_PUSH_TO", value_name = "URL", value_parser = grpc_url)]
    pub push_to: Option<Uri>,
    /// Address to listen on for a server that pulls; runs until it is stopped; port 0 picks a free
    /// port
    #[arg(long, env = "OTTO_SIMULATE_SERVE_PULL", value_name = "ADDR", value_parser = socket_addr)]
    pub serve_pull: Option<SocketAddr>,
    /// How many builds run at once
    #[arg(long, env = "OTTO_SIMULATE_TASKS", value_name = "N", default_value_t = 2)]
    pub tasks: u32,
    /// How many workers each build has
    #[arg(long, env = "OTTO_SIMULATE_WORKERS", value_name = "N", default_value_t = 2)]
    pub workers: u32,
    /// Lines a second of each worker; 0 for as many as the server accepts
    #[arg(long, env = "OTTO_SIMULATE_RATE", value_name = "N", default_value_t = 20.0)]
    pub rate: f64,
    /// Which workers fail, by number from 1, separated by commas
    #[arg(long, env = "OTTO_SIMULATE_FAIL", value_name = "N,...", value_delimiter = ',')]
    pub fail: Vec<u32>,
    /// The same seed gives the same builds, line by line; by default it is random
    #[arg(long, env = "OTTO_SIMULATE_SEED", value_name = "N")]
    pub seed: Option<u64>,
    /// End each stream as today's ottoscaler does, cancelled right behind its half-close; lines
    /// without an ack by then may be kept or not, and do not count for the exit code
    #[arg(long, requires = "push_to")]
    pub cancel: bool,
}

/// Runs the command.
///
/// # Errors
/// When a number is out of its range, or the server cannot be reached or refuses a call.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let plan = plan(&args)?;
    let names: Vec<_> = plan.tasks.iter().map(TaskId::as_str).collect();
    eprintln!("seed {}: {}", plan.seed, names.join(", "));
    let rate = line_rate(&args)?;
    let ending = if args.cancel { Ending::Cancel } else { Ending::ReadAcks };
    match (args.push_to, args.serve_pull) {
        (Some(to), _) => push_builds(to, &plan, rate, ending).await,
        (None, Some(addr)) => serve_builds(addr, &plan, rate).await,
        (None, None) => anyhow::bail!("neither --push-to nor --serve-pull is given"),
    }
}

async fn push_builds(
    to: Uri,
    plan: &Plan,
    rate: LineRate,
    ending: Ending,
) -> anyhow::Result<ExitCode> {
    let report = push(to, plan, rate, ending).await?;
    eprintln!("{}", summary(&report));
    Ok(ExitCode::from(exit_code(&report, ending)))
}

/// What became of the lines, by the acks.
fn summary(report: &Report) -> String {
    let unanswered = report.unanswered();
    let mut text = format!("{} lines sent, {} kept", report.sent, report.kept);
    for (count, what) in [
        (report.dropped, "dropped"),
        (report.retried, "refused for now (RETRY)"),
        (unanswered, "without an ack"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    if let Some(reason) = report.reason.as_ref().filter(|_| report.kept < report.sent) {
        text.push_str(&format!(" (the first reason: {reason})"));
    }
    if report.status_warnings > 0 {
        text.push_str(&format!("; statuses not taken: {}", report.status_warnings));
    }
    text
}

fn exit_code(report: &Report, ending: Ending) -> u8 {
    // A cancelled stream nearly always misses its last acks.
    let unknown = if ending == Ending::Cancel { 0 } else { report.unanswered() };
    let not_kept = report.dropped + report.retried + unknown;
    if not_kept == 0 { exit::SUCCESS } else { exit::GAVE_UP }
}

async fn serve_builds(addr: SocketAddr, plan: &Plan, rate: LineRate) -> anyhow::Result<ExitCode> {
    let listener = TcpListener::bind(addr).await;
    let listener = listener.with_context(|| format!("cannot listen on {addr}"))?;
    eprintln!("serving otto.handler.v1.WorkerLogSource on {}", listener.local_addr()?);
    let mut signals = StopSignals::listen()?;
    serve_pull(listener, plan, rate, async move { signals.first().await }).await?;
    Ok(ExitCode::SUCCESS)
}

fn plan(args: &Args) -> anyhow::Result<Plan> {
    ensure!(args.tasks > 0, "tasks is 0, it needs at least 1");
    ensure!(args.workers > 0, "workers is 0, it needs at least 1");
    let unknown = args.fail.iter().find(|number| !(1..=args.workers).contains(number));
    if let Some(number) = unknown {
        anyhow::bail!("fail names worker {number}, the workers are 1 to {}", args.workers);
    }
    let seed = args.seed.unwrap_or_else(|| u64::from(fastrand::u32(..)));
    let task = |number| TaskId::new(&format!("build-{seed}-{number}"));
    let tasks = (1..=args.tasks).map(task).collect::<Result<_, _>>()?;
    Ok(Plan { seed, tasks, workers: args.workers, failing: args.fail.clone() })
}

fn line_rate(args: &Args) -> anyhow::Result<LineRate> {
    let is_usable = args.rate.is_finite() && args.rate >= 0.0;
    ensure!(is_usable, "rate is {}, it needs to be 0 or more", args.rate);
    Ok(if args.rate == 0.0 { LineRate::Unbounded } else { LineRate::LinesPerSecond(args.rate) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> Args {
        let push_to = Some(Uri::from_static("http://127.0.0.1:8080"));
        Args {
            push_to,
            serve_pull: None,
            tasks: 2,
            workers: 2,
            rate: 20.0,
            fail: vec![2],
            seed: Some(7),
            cancel: false,
        }
    }

    #[test]
    fn the_arguments_make_a_plan() {
        let plan = plan(&args()).unwrap();
        assert_eq!(plan.tasks[1].as_str(), "build-7-2");
        let failing = plan.workers().unwrap().iter().filter(|worker| worker.fails).count();
        assert_eq!(failing, 2);
        assert_eq!(line_rate(&Args { rate: 0.0, ..args() }).unwrap(), LineRate::Unbounded);
    }

    #[test]
    fn numbers_out_of_their_range_are_refused() {
        assert!(plan(&Args { tasks: 0, ..args() }).is_err());
        assert!(plan(&Args { workers: 0, ..args() }).is_err());
        let error = plan(&Args { fail: vec![3], ..args() }).unwrap_err();
        assert_eq!(error.to_string(), "fail names worker 3, the workers are 1 to 2");
        for rate in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(line_rate(&Args { rate, ..args() }).is_err());
        }
    }

    #[test]
    fn the_summary_and_the_exit_code_say_how_many_lines_are_kept_and_why_others_are_not() {
        let whole = Report { sent: 9, kept: 9, ..Report::default() };
        let some = Report { kept: 4, dropped: 2, retried: 1, ..whole.clone() };
        let some = Report { reason: Some("too large".into()), status_warnings: 1, ..some };
        let cut = Report { kept: 7, ..whole.clone() };
        let text = "9 lines sent, 4 kept, 2 dropped, 1 refused for now (RETRY), 2 without an ack \
                    (the first reason: too large); statuses not taken: 1";
        for (report, text, code, code_of_cancelled) in [
            (&whole, "9 lines sent, 9 kept", 0, 0),
            (&some, text, 5, 5),
            (&cut, "9 lines sent, 7 kept, 2 without an ack", 5, 0),
        ] {
            assert_eq!(summary(report), text);
            assert_eq!(exit_code(report, Ending::ReadAcks), code, "{text}");
            assert_eq!(exit_code(report, Ending::Cancel), code_of_cancelled, "{text}");
        }
    }
}
