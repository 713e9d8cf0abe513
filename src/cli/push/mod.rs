//! `push`: pipes standard input to the server, line by line, losing and doubling nothing.

mod console;
mod input;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::ValueEnum;
use clap::builder::BoolishValueParser;
use http::Uri;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::client::push::{Driver, Error, Line, Producer, PushOptions, Pusher, Report, pusher};
use crate::domain::{TaskId, WorkerId, WorkerState};
use console::Console;
use input::{Input, InputReport, Splitter};

/// Pipe standard input to the server, one log line per line of text
///
/// Each line is sent when it is read and held until the server has acknowledged it. After a broken
/// connection, lines without an ACK are sent again; the server keeps each once.
///
///   make 2>&1 | otto-handler push --task build-42 --worker ci-1
///   kubectl logs -f pod/worker | otto-handler push --task build-42 --worker worker
///
/// Exit code: 0 when every line is acknowledged, 1 when it gave up, 2 when the server dropped
/// some lines, 128 + n after signal n.
#[derive(Debug, Clone, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The server's gRPC address
    #[arg(long, env = "OTTO_PUSH_TO", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub to: Uri,
    /// The task that the lines belong to
    #[arg(long, env = "OTTO_PUSH_TASK", value_name = "ID")]
    pub task: TaskId,
    /// The worker that the lines come from
    #[arg(long, env = "OTTO_PUSH_WORKER", value_name = "ID")]
    pub worker: WorkerId,
    /// The source that each line gets, such as stdout or stderr
    #[arg(long, env = "OTTO_PUSH_SOURCE", default_value = "stdout")]
    pub source: String,
    /// The level that each line gets, such as INFO or ERROR
    #[arg(long, env = "OTTO_PUSH_LEVEL", default_value = "INFO")]
    pub level: String,
    /// The worker's status that is sent when the input ends
    #[arg(long, env = "OTTO_PUSH_STATUS", default_value = "completed")]
    pub status: LastStatus,
    /// Bearer token, for servers that ask producers for one
    #[arg(long, env = "OTTO_PUSH_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Give up when no answer has come for this long
    #[arg(long, env = "OTTO_PUSH_GIVE_UP_AFTER", value_name = "TIME", default_value = "10m")]
    pub give_up_after: humantime::Duration,
    /// How much may wait for an ACK; reading pauses when it is full
    #[arg(long, env = "OTTO_PUSH_WINDOW", value_name = "SIZE", default_value = "8MiB")]
    pub window: bytesize::ByteSize,
    /// Copy the input to standard output too, to its end even when pushing gives up
    #[arg(long, env = "OTTO_PUSH_TEE", value_parser = BoolishValueParser::new())]
    pub tee: bool,
}

/// How the worker has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LastStatus {
    /// The worker succeeded.
    Completed,
    /// The worker failed.
    Failed,
    /// No status is sent.
    None,
}

impl LastStatus {
    fn first_state(self) -> Option<WorkerState> {
        self.last_state().map(|_| WorkerState::Running)
    }

    fn last_state(self) -> Option<WorkerState> {
        match self {
            Self::Completed => Some(WorkerState::Completed),
            Self::Failed => Some(WorkerState::Failed),
            Self::None => None,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When the address or the token cannot be used, or signals cannot be caught.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let console = Arc::new(Console::stderr());
    let notices = console.clone();
    let observer = Box::new(move |notice| notices.notice(notice));
    let (pusher, driver) = pusher(options(&args), producer(&args), observer)?;
    let mut signals = Signals::catch()?;

    let stop = CancellationToken::new();
    let Input { chunks, copied } = input::read_stdin(args.tee)?;
    let feed = tokio::spawn(feed(chunks, pusher.clone(), args.status, stop.clone()));
    let progress = tokio::spawn(console.clone().show_progress(pusher.clone()));
    let delivered = deliver(driver, &mut signals, &stop, &console).await;
    progress.abort();
    // Where pushing failed, the feed may still wait for input.
    stop.cancel();

    let (result, signal) = match delivered {
        Delivered::Ended { result, signal } => (result, signal),
        Delivered::Abandoned { signal } => return Ok(ExitCode::from(SIGNAL_EXIT_BASE + signal)),
    };
    let input = feed.await?;
    if args.tee && signal.is_none() {
        finish_copying(copied, &mut signals).await;
    }
    console.summary(&result, &input, pusher.progress(), started.elapsed());
    Ok(ExitCode::from(exit_code(&result, &input, signal)))
}

fn options(args: &Args) -> PushOptions {
    let mut options = PushOptions::new(args.to.clone());
    options.token.clone_from(&args.token);
    options.first_status = args.status.first_state();
    options.give_up_after = args.give_up_after.into();
    options.window_bytes = usize::try_from(args.window.as_u64()).unwrap_or(usize::MAX);
    options
}

fn producer(args: &Args) -> Producer {
    Producer {
        task: args.task.clone(),
        worker: args.worker.clone(),
        level: args.level.clone(),
        source: args.source.clone(),
    }
}

/// Pushes the input's lines until it ends or `stop` is cancelled, then what was read before that.
async fn feed(
    mut chunks: mpsc::Receiver<input::Chunk>,
    pusher: Pusher,
    status: LastStatus,
    stop: CancellationToken,
) -> InputReport {
    let mut splitter = Splitter::default();
    let mut input = InputReport::default();
    loop {
        let chunk = match stop.run_until_cancelled(chunks.recv()).await {
            Some(chunk) => chunk,
            None => chunks.try_recv().ok(),
        };
        match chunk {
            Some(Ok(bytes)) => {
                if push_lines(&pusher, splitter.split(&bytes)).await.is_err() {
                    break;
                }
            }
            Some(Err(failure)) => input.failure = Some(failure),
            None => break,
        }
    }
    // Fails only when pushing has ended, and then the driver's result says so.
    push_lines(&pusher, splitter.last_line().into_iter().collect()).await.ok();
    let was_stopped = stop.is_cancelled() && status != LastStatus::None;
    pusher.finish(if was_stopped { Some(WorkerState::Terminated) } else { status.last_state() });
    input.invalid_lines = splitter.invalid_lines();
    input.cut_lines = splitter.cut_lines();
    input
}

async fn push_lines(
    pusher: &Pusher,
    messages: Vec<String>,
) -> Result<(), crate::client::push::Ended> {
    let timestamp: Arc<str> = format!("{:.3}", jiff::Timestamp::now()).into();
    for message in messages {
        pusher.push(Line { timestamp: timestamp.clone(), message }).await?;
    }
    Ok(())
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;
const SIGNAL_EXIT_BASE: u8 = 128;

impl Signals {
    fn catch() -> std::io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => SIGINT,
            _ = self.terminate.recv() => SIGTERM,
        }
    }
}

enum Delivered {
    Ended {
        result: Result<Report, Error>,
        signal: Option<u8>,
    },
    /// A second signal came: end at once.
    Abandoned {
        signal: u8,
    },
}

/// Runs the driver. The first signal stops the input, the second everything.
async fn deliver(
    driver: Driver,
    signals: &mut Signals,
    stop: &CancellationToken,
    console: &Console,
) -> Delivered {
    let mut running = std::pin::pin!(driver.run());
    let mut signal = None;
    loop {
        tokio::select! {
            result = &mut running => return Delivered::Ended { result, signal },
            received = signals.next() => {
                if signal.replace(received).is_some() {
                    return Delivered::Abandoned { signal: received };
                }
                console.stopping();
                stop.cancel();
            }
        }
    }
}

async fn finish_copying(copied: oneshot::Receiver<()>, signals: &mut Signals) {
    tokio::select! {
        _ = copied => {}
        _ = signals.next() => {}
    }
}

fn exit_code(result: &Result<Report, Error>, input: &InputReport, signal: Option<u8>) -> u8 {
    match (result, signal) {
        (Err(_), _) => 1,
        (Ok(_), Some(signal)) => SIGNAL_EXIT_BASE + signal,
        (Ok(_), None) if input.failure.is_some() => 1,
        (Ok(report), None) if report.is_clean() => 0,
        (Ok(_), None) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::push::Progress;

    fn report(acknowledged: u64) -> Result<Report, Error> {
        let progress = Progress { pushed: 3, acknowledged, dropped: 3 - acknowledged };
        Ok(Report { progress, ..Report::default() })
    }

    #[test]
    fn the_exit_code_tells_whether_everything_is_kept() {
        let input = InputReport::default();
        assert_eq!(exit_code(&report(3), &input, None), 0);
        assert_eq!(exit_code(&report(2), &input, None), 2);
        assert_eq!(exit_code(&report(3), &input, Some(SIGTERM)), 143);
        let refused = Err(Error::Refused("no".into()));
        assert_eq!(exit_code(&refused, &input, Some(SIGINT)), 1);
        let cut = InputReport { cut_lines: 1, ..InputReport::default() };
        assert_eq!(exit_code(&report(3), &cut, None), 0);
        let unreadable =
            InputReport { failure: Some(std::io::Error::other("x")), ..InputReport::default() };
        assert_eq!(exit_code(&report(3), &unreadable, None), 1);
    }
}
