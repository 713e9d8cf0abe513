//! `push`: pushes a command's output or standard input, line by line, losing and doubling nothing.

mod args;
mod command;
mod console;
mod feed;
mod input;
mod signals;
mod spool;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::cli::exit;
use crate::client::push::{Driver, Error, Pusher, Report, WorkerEnd, pusher};
use crate::client::spool::{SpoolDir, SpoolReport};
use crate::domain::WorkerState;
use command::{Command, CommandEnd, Passer};
use console::Console;
use feed::Feed;
use input::InputReport;
use signals::Signals;
use spool::{Leftovers, SpoolSending};

pub(super) use args::Args;
use args::LastStatus;

/// How long to try to tell of a command that was not started.
const NOT_STARTED_PATIENCE: Duration = Duration::from_secs(5);

/// Runs the command.
///
/// # Errors
/// When signals cannot be caught.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let console = Arc::new(Console::stderr(args.quiet));
    let code = match Pushing::prepare(&args, &console) {
        Err(text) => {
            console.failure(&text);
            exit::USAGE
        }
        Ok(pushing) => pushing.run(&args, &console).await?,
    };
    Ok(ExitCode::from(code))
}

/// What is there before anything is read or started.
struct Pushing {
    page: String,
    pusher: Pusher,
    driver: Driver,
    spool: Option<SpoolDir>,
    leftovers: Option<Leftovers>,
}

impl Pushing {
    /// Says which of the arguments cannot be used.
    fn prepare(args: &Args, console: &Arc<Console>) -> Result<Self, String> {
        let page = args::page(args).map_err(|error| error.to_string())?;
        let spool = spool::of(args).map_err(|error| error.to_string())?;
        let notices = console.clone();
        let observer = Box::new(move |notice| notices.notice(&notice));
        let (producer, first_status) = (args::producer(args), args.status.first_state());
        let (pusher, driver) = pusher(args::options(args), producer, first_status, observer)
            .map_err(|error| error.to_string())?;
        let leftovers = spool.clone().map(|dir| Leftovers::new(dir, pusher.clone(), args.end_task));
        Ok(Self { page, pusher, driver, spool, leftovers })
    }

    async fn run(self, args: &Args, console: &Arc<Console>) -> anyhow::Result<u8> {
        let started = Instant::now();
        let Self { page, pusher, driver, spool, leftovers } = self;
        let is_piped = args.command.is_empty();
        let mut signals = if is_piped { Signals::that_stop()? } else { Signals::to_pass_on()? };
        console.link(&page);
        let sending = spool.map(|dir| SpoolSending::start(dir, args::options(args), console));
        let feed = Feed::new(pusher.clone(), leftovers.clone());
        let work = if is_piped {
            Work::on_input(args, &pusher, feed)?
        } else {
            match Command::start(&args.command, args.pty, args.tee) {
                Ok(command) => Work::on_command(args, &pusher, feed, command),
                Err(error) => {
                    let end = CommandEnd::not_started(&error);
                    let program = args.command[0].to_string_lossy();
                    console.failure(&format!("{program:?}: {}", end.worker.reason));
                    let told = report_not_started(args, &pusher, driver, &end).await;
                    spool_rest(leftovers.filter(|_| !told), console).await;
                    return Ok(end.code);
                }
            }
        };
        let progress = tokio::spawn(console.clone().show_progress(pusher.clone()));
        let ended = work.finish(driver, &mut signals, console).await?;
        progress.abort();
        let spooled = spool_rest(leftovers.filter(|_| ended.result.is_err()), console).await;
        if let Some(sending) = sending {
            // Where the server does not answer, or somebody is in a hurry, nothing is waited for.
            let is_hopeless = matches!(ended.result, Err(Error::GaveUp { .. }));
            let is_short = is_hopeless || ended.was_stopped();
            let limit = args::options(args).give_up_after;
            let patience = if is_short { Duration::ZERO } else { limit };
            sending.finish(patience, &mut signals, console).await;
        }
        let (progress, elapsed) = (pusher.progress(), started.elapsed());
        console.summary(&ended.result, &ended.input, progress, spooled.lines, elapsed);
        Ok(exit_code(args.required, &ended))
    }
}

/// Keeps in the spool what is not delivered; without one nothing.
async fn spool_rest(leftovers: Option<Leftovers>, console: &Console) -> SpoolReport {
    let Some(leftovers) = leftovers else { return SpoolReport::default() };
    let report = leftovers.finish().await;
    console.spooled(&report);
    report
}

/// Tells the server in the command's place how it ended; the build is not held up for long. Whether
/// that was told.
async fn report_not_started(
    args: &Args,
    pusher: &Pusher,
    driver: Driver,
    end: &CommandEnd,
) -> bool {
    pusher.finish((args.status != LastStatus::None).then(|| end.worker.clone()));
    let driven = tokio::time::timeout(NOT_STARTED_PATIENCE, driver.run()).await;
    matches!(driven, Ok(Ok(_)))
}

/// What is pushed while the driver delivers it.
struct Work {
    feeding: tokio::task::JoinHandle<Fed>,
    /// Ends the reading of standard input.
    stop: CancellationToken,
    /// Where there is a command.
    passer: Option<Passer>,
}

/// What was read, to its end.
struct Fed {
    input: InputReport,
    /// How the command ended, where there was one.
    code: Option<u8>,
}

/// How all of it ended.
struct Ended {
    result: Result<Report, Error>,
    input: InputReport,
    /// The command's exit code.
    code: Option<u8>,
    /// The signal that ended the reading.
    signal: Option<u8>,
}

impl Work {
    fn on_input(args: &Args, pusher: &Pusher, feed: Feed) -> std::io::Result<Self> {
        let chunks = input::read_stdin(args.tee)?;
        let stop = CancellationToken::new();
        let (stopped, pusher, last) = (stop.clone(), pusher.clone(), args.status);
        let feeding = tokio::spawn(async move {
            let input = feed.read(chunks, &stopped).await;
            pusher.finish(end_of_input(last, stopped.is_cancelled()));
            Fed { input, code: None }
        });
        Ok(Self { feeding, stop, passer: None })
    }

    fn on_command(args: &Args, pusher: &Pusher, feed: Feed, command: Command) -> Self {
        let passer = Some(command.passer());
        let (pusher, is_told) = (pusher.clone(), args.status != LastStatus::None);
        let stop = CancellationToken::new();
        let feeding = tokio::spawn(feed_command(command, pusher, feed, is_told, stop.clone()));
        Self { feeding, stop, passer }
    }

    /// Reads and delivers to the end. Reading goes on when delivering has ended.
    async fn finish(
        mut self,
        driver: Driver,
        signals: &mut Signals,
        console: &Console,
    ) -> anyhow::Result<Ended> {
        let mut driving = std::pin::pin!(driver.run());
        let (mut result, mut fed, mut signal) = (None, None, None);
        while result.is_none() || fed.is_none() {
            tokio::select! {
                ended = &mut driving, if result.is_none() => result = Some(ended),
                ended = &mut self.feeding, if fed.is_none() => fed = Some(ended?),
                received = signals.next() => {
                    if self.passer.as_ref().is_some_and(|passer| passer.pass(received)) {
                        continue;
                    }
                    if signal.replace(received).is_some() {
                        break;
                    }
                    console.stopping();
                    self.stop.cancel();
                }
            }
        }
        let gave_up = || Err(Error::Interrupted);
        let Fed { input, code } =
            fed.unwrap_or_else(|| Fed { input: InputReport::default(), code: None });
        Ok(Ended { result: result.unwrap_or_else(gave_up), input, code, signal })
    }
}

async fn feed_command(
    command: Command,
    pusher: Pusher,
    feed: Feed,
    is_told: bool,
    stop: CancellationToken,
) -> Fed {
    let Command { chunks, ended, .. } = command;
    let input = feed.read(chunks, &stop).await;
    let end = ended_of(ended).await;
    pusher.finish(is_told.then_some(end.worker));
    Fed { input, code: Some(end.code) }
}

async fn ended_of(ended: oneshot::Receiver<CommandEnd>) -> CommandEnd {
    let lost = |_| CommandEnd::not_started(&std::io::Error::other("nobody waited for it"));
    ended.await.unwrap_or_else(lost)
}

fn end_of_input(last: LastStatus, was_stopped: bool) -> Option<WorkerEnd> {
    let terminated = was_stopped && last != LastStatus::None;
    let state = if terminated { Some(WorkerState::Terminated) } else { last.last_state() };
    state.map(WorkerEnd::from)
}

impl Ended {
    /// Whether a signal ended the reading, or all of it.
    fn was_stopped(&self) -> bool {
        self.signal.is_some() || matches!(self.result, Err(Error::Interrupted))
    }
}

fn exit_code(is_required: bool, ended: &Ended) -> u8 {
    let Ended { result, input, code, signal } = ended;
    let own = match (code, signal) {
        (Some(code), _) => *code,
        (None, Some(signal)) => exit::SIGNAL_BASE + signal,
        (None, None) if input.failure.is_some() => exit::USAGE,
        (None, None) => exit::SUCCESS,
    };
    let is_delivered = result.as_ref().is_ok_and(Report::is_clean) && input.is_whole();
    if own == exit::SUCCESS && is_required && !is_delivered { exit::GAVE_UP } else { own }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::push::Progress;

    fn ended(acknowledged: u64) -> Ended {
        let progress = Progress { pushed: 3, acknowledged, dropped: 3 - acknowledged };
        let result = Ok(Report { progress, ..Report::default() });
        Ended { result, input: InputReport::default(), code: None, signal: None }
    }

    #[test]
    fn only_who_requires_the_log_learns_from_the_exit_code_that_it_is_not_whole() {
        let refused = || Ended { result: Err(Error::Refused("no".into())), ..ended(3) };
        let late = InputReport { late_lines: 1, ..InputReport::default() };
        let cut = Ended { input: late, ..ended(3) };
        for incomplete in [ended(2), refused(), cut] {
            assert_eq!(exit_code(false, &incomplete), exit::SUCCESS);
            assert_eq!(exit_code(true, &incomplete), exit::GAVE_UP);
        }
        assert_eq!(exit_code(true, &ended(3)), exit::SUCCESS);
        assert_eq!(exit_code(true, &Ended { code: Some(3), ..refused() }), 3);
    }

    #[test]
    fn a_signal_an_unreadable_input_and_a_command_have_their_own_codes() {
        assert_eq!(exit_code(false, &Ended { signal: Some(15), ..ended(3) }), 143);
        let failure = Some(std::io::Error::other("x"));
        let unreadable = InputReport { failure, ..InputReport::default() };
        assert_eq!(exit_code(false, &Ended { input: unreadable, ..ended(3) }), exit::USAGE);
        let stopped = Ended { code: Some(0), signal: Some(15), ..ended(3) };
        assert_eq!(exit_code(false, &stopped), exit::SUCCESS);
    }
}
