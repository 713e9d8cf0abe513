//! The command whose output is pushed: started, read, sent signals, waited for.

use std::ffi::OsString;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::input::{CHUNK_BYTES, Chunk, QUEUED_CHUNKS};
use super::signals::comes_from_the_terminal;
use crate::cli::exit::{NOT_EXECUTABLE, NOT_STARTED, SIGNAL_BASE};
use crate::client::push::WorkerEnd;
use crate::domain::WorkerState;

/// How long the output of what a command left behind may pause before it is no longer read.
const LINGER: Duration = Duration::from_secs(2);

/// The size of the terminal that a command gets.
const PTY_ROWS: u16 = 40;
const PTY_COLUMNS: u16 = 120;

/// Signals on their way to the command.
const QUEUED_SIGNALS: usize = 16;

/// A running command.
pub(super) struct Command {
    pub(super) chunks: mpsc::Receiver<Chunk>,
    pub(super) ended: oneshot::Receiver<CommandEnd>,
    signals: mpsc::Sender<u8>,
    has_terminal: bool,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CommandEnd {
    /// The exit code to end with.
    pub(super) code: u8,
    /// What is notified of it.
    pub(super) worker: WorkerEnd,
}

impl Command {
    /// Starts `line`, its program first; on a terminal of its own where `pty` says so.
    pub(super) fn start(line: &[OsString], pty: bool, tee: bool) -> io::Result<Self> {
        let (sender, chunks) = mpsc::channel(QUEUED_CHUNKS);
        let mut readers = Readers { sender, reads: Arc::default(), tasks: JoinSet::new() };
        let child = if pty {
            on_terminal(line, tee, &mut readers)?
        } else {
            on_pipes(line, tee, &mut readers)?
        };
        let (signals, to_pass_on) = mpsc::channel(QUEUED_SIGNALS);
        let (told, ended) = oneshot::channel();
        tokio::spawn(async move {
            // Nobody waits for it any more when this fails.
            told.send(wait(child, to_pass_on, readers).await).ok();
        });
        Ok(Self { chunks, ended, signals, has_terminal: pty })
    }

    /// What passes signals on to the command.
    pub(super) fn passer(&self) -> Passer {
        Passer { signals: self.signals.clone(), has_terminal: self.has_terminal }
    }
}

/// Passes signals on.
pub(super) struct Passer {
    signals: mpsc::Sender<u8>,
    has_terminal: bool,
}

impl Passer {
    /// Passes `signal` on; whether the command still runs.
    pub(super) fn pass(&self, signal: u8) -> bool {
        let has_it = !self.has_terminal && comes_from_the_terminal(signal);
        if self.signals.is_closed() {
            return false;
        }
        if !has_it {
            self.signals.try_send(signal).ok();
        }
        true
    }
}

fn on_pipes(line: &[OsString], tee: bool, readers: &mut Readers) -> io::Result<Child> {
    let mut command = tokio::process::Command::new(&line[0]);
    command.args(&line[1..]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let output = child.stdout.take().expect("it is piped");
    let errors = child.stderr.take().expect("it is piped");
    readers.read("stdout", output, tee.then(tokio::io::stdout));
    readers.read("stderr", errors, tee.then(tokio::io::stderr));
    Ok(child)
}

/// Input still comes from where `push` has it; output and errors are one stream, as on a screen.
fn on_terminal(line: &[OsString], tee: bool, readers: &mut Readers) -> io::Result<Child> {
    let (terminal, inner) = pty_process::open().map_err(pty_error)?;
    terminal.resize(pty_process::Size::new(PTY_ROWS, PTY_COLUMNS)).map_err(pty_error)?;
    let command = pty_process::Command::new(&line[0]).args(&line[1..]).stdin(Stdio::inherit());
    let child = command.spawn(inner).map_err(pty_error)?;
    readers.read("stdout", terminal, tee.then(tokio::io::stdout));
    Ok(child)
}

fn pty_error(error: pty_process::Error) -> io::Error {
    match error {
        pty_process::Error::Io(error) => error,
        pty_process::Error::Rustix(error) => error.into(),
        other => io::Error::other(other),
    }
}

/// The tasks that read a command's output.
struct Readers {
    sender: mpsc::Sender<Chunk>,
    reads: Arc<AtomicU64>,
    tasks: JoinSet<()>,
}

impl Readers {
    fn read(
        &mut self,
        source: &str,
        from: impl AsyncRead + Unpin + Send + 'static,
        copy: Option<impl AsyncWrite + Unpin + Send + 'static>,
    ) {
        let (source, sender, reads) = (source.into(), self.sender.clone(), self.reads.clone());
        self.tasks.spawn(read_all(source, from, copy, sender, reads));
    }

    /// Waits for the output's end. What a command leaves behind, such as a daemon, may hold its
    /// output open for ever; it is read while there is something to read.
    async fn finish(mut self) {
        loop {
            let before = self.reads.load(Ordering::Relaxed);
            let all = async { while self.tasks.join_next().await.is_some() {} };
            let is_read = timeout(LINGER, all).await.is_ok();
            let is_quiet = self.reads.load(Ordering::Relaxed) == before
                && self.sender.capacity() == self.sender.max_capacity();
            if is_read || is_quiet {
                return;
            }
        }
    }
}

async fn read_all(
    source: Arc<str>,
    mut from: impl AsyncRead + Unpin,
    mut copy: Option<impl AsyncWrite + Unpin>,
    sender: mpsc::Sender<Chunk>,
    reads: Arc<AtomicU64>,
) {
    let mut buffer = BytesMut::with_capacity(CHUNK_BYTES);
    // A terminal whose command has ended answers with an error.
    while let Ok(1..) = from.read_buf(&mut buffer).await {
        reads.fetch_add(1, Ordering::Relaxed);
        let bytes = buffer.split().freeze();
        buffer.reserve(CHUNK_BYTES);
        if let Some(output) = &mut copy {
            let is_written = output.write_all(&bytes).await.is_ok() && output.flush().await.is_ok();
            copy = copy.filter(|_| is_written);
        }
        // Without a receiver reading goes on: a command whose output nobody takes would die.
        sender.send(Chunk { source: Some(source.clone()), bytes: Ok(bytes) }).await.ok();
    }
}

async fn wait(mut child: Child, mut signals: mpsc::Receiver<u8>, readers: Readers) -> CommandEnd {
    let mut passed_on = None;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            Some(signal) = signals.recv() => {
                send(&child, signal);
                passed_on = Some(signal);
            }
        }
    };
    drop(signals);
    readers.finish().await;
    match status {
        Ok(status) => CommandEnd::of(status, passed_on),
        Err(error) => CommandEnd::not_started(&error),
    }
}

fn send(child: &Child, signal: u8) {
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let (Some(id), Some(signal)) = (id, Signal::from_named_raw(i32::from(signal))) {
        // It fails when the command has just ended.
        kill_process(id, signal).ok();
    }
}

impl CommandEnd {
    /// The end of a command that cannot be started.
    pub(super) fn not_started(error: &io::Error) -> Self {
        let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
        let code = if is_denied { NOT_EXECUTABLE } else { NOT_STARTED };
        Self {
            code,
            worker: failed(i32::from(code), format!("the command cannot be started: {error}")),
        }
    }

    /// `passed_on` is the last signal that the command got from here: many programs catch it, tidy
    /// up, and exit with the code that tells it.
    fn of(status: ExitStatus, passed_on: Option<u8>) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        let caught = passed_on.filter(|signal| code == Some(SIGNAL_BASE + signal));
        let killed = status.signal().and_then(|signal| u8::try_from(signal).ok());
        if let Some(signal) = killed.or(caught) {
            let reason = format!("ended by signal {}", name(signal));
            let worker = WorkerEnd { reason, ..WorkerState::Terminated.into() };
            return Self { code: SIGNAL_BASE + signal, worker };
        }
        match code.unwrap_or(u8::MAX) {
            0 => Self {
                code: 0,
                worker: WorkerEnd { exit_code: Some(0), ..WorkerState::Completed.into() },
            },
            code => Self { code, worker: failed(i32::from(code), format!("exit code {code}")) },
        }
    }
}

fn failed(exit_code: i32, reason: String) -> WorkerEnd {
    WorkerEnd { state: WorkerState::Failed, reason, exit_code: Some(exit_code) }
}

fn name(signal: u8) -> String {
    let names =
        [(1, "HUP"), (2, "INT"), (3, "QUIT"), (6, "ABRT"), (9, "KILL"), (11, "SEGV"), (15, "TERM")];
    let found = names.into_iter().find(|(number, _)| *number == signal);
    found.map_or_else(|| signal.to_string(), |(number, name)| format!("{number} (SIG{name})"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn a_signal_terminates_a_code_fails_and_a_caught_signal_counts_as_one() {
        let of = |raw, passed_on| CommandEnd::of(ExitStatus::from_raw(raw), passed_on);
        let told = |end: CommandEnd| (end.code, end.worker.state, end.worker.exit_code);
        assert_eq!(told(of(0, None)), (0, WorkerState::Completed, Some(0)));
        assert_eq!(told(of(3 << 8, Some(15))), (3, WorkerState::Failed, Some(3)));
        assert_eq!(told(of(9, None)), (137, WorkerState::Terminated, None));
        assert_eq!(told(of(143 << 8, Some(15))), (143, WorkerState::Terminated, None));
        assert_eq!(told(of(143 << 8, None)), (143, WorkerState::Failed, Some(143)));
    }

    #[test]
    fn a_command_that_cannot_be_started_is_told_apart_as_a_shell_does() {
        let end = |kind: io::ErrorKind| CommandEnd::not_started(&kind.into()).code;
        assert_eq!(end(io::ErrorKind::NotFound), 127);
        assert_eq!(end(io::ErrorKind::PermissionDenied), 126);
    }
}
