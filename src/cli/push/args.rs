//! The arguments of `push`, and what they mean.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::BoolishValueParser;
use http::Uri;

use crate::cli::address::{grpc_url, http_url_text};
use crate::client::follow::{UrlError, task_page_url};
use crate::client::push::{Producer, PushOptions};
use crate::domain::{TaskId, WorkerId, WorkerState};

/// Run a command and push its output, or push standard input, line by line
///
///   otto-handler push --task build-42 -- make -j8
///
/// runs the command, sends it the signals that arrive, notifies how it ended (COMPLETED, FAILED
/// with its exit code, TERMINATED by a signal), and ends with its exit code; 127 when it cannot
/// be started. Its two pipes are read as they come; where the order between them must be exact,
/// let it write to one (`sh -c 'make 2>&1'`, or --pty).
///
///   kubectl logs -f pod/worker | otto-handler push --task build-42 --worker worker
///
/// pushes standard input. A pipe hides whether the command before it failed: the worker is
/// COMPLETED in any case, and the shell sees only the last exit code unless it is told
/// `set -o pipefail`.
///
/// Each line is held until the server has acknowledged it. After a broken connection, lines
/// without an ACK are sent again; the server keeps each once. A log that cannot be delivered
/// neither stops nor fails a build: the output is read to its end, and what was not delivered is
/// counted. With --required that is exit code 5. With --spool it is kept on the disk, and the next
/// push with the same directory sends it.
///
/// Exit code: the command's; without a command 0, 2 when the arguments or the input cannot be
/// used, 128 + n after signal n. 5 where that would be 0, with --required and not all delivered.
#[derive(Debug, Clone, clap::Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct Args {
    /// The server's gRPC address; https:// uses the system's certificates (SSL_CERT_FILE)
    #[arg(long, env = "OTTO_PUSH_TO", value_name = "URL", value_parser = grpc_url, default_value = "http://127.0.0.1:8080")]
    pub to: Uri,
    /// The task that the lines belong to
    #[arg(long, env = "OTTO_PUSH_TASK", value_name = "ID")]
    pub task: TaskId,
    /// The worker that the lines come from; without it the name of this machine
    #[arg(long, env = "OTTO_PUSH_WORKER", value_name = "ID")]
    pub worker: Option<WorkerId>,
    /// The source that each line of standard input gets, such as stdout or stderr
    #[arg(long, env = "OTTO_PUSH_SOURCE", default_value = "stdout")]
    pub source: String,
    /// The level that each line gets, such as INFO or ERROR
    #[arg(long, env = "OTTO_PUSH_LEVEL", default_value = "INFO")]
    pub level: String,
    /// The worker's status when standard input ends. A command's own end says its status; `none`
    /// sends none in either case
    #[arg(long, env = "OTTO_PUSH_STATUS", default_value = "completed")]
    pub status: LastStatus,
    /// Say that the task has ended when the worker ends, so that nobody waits for another worker
    #[arg(long, env = "OTTO_PUSH_END_TASK", value_parser = BoolishValueParser::new())]
    pub end_task: bool,
    /// Bearer token, for servers that ask producers for one
    #[arg(long, env = "OTTO_PUSH_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Give up when no answer has come for this long; 0 to go on for ever
    #[arg(long, env = "OTTO_PUSH_GIVE_UP_AFTER", value_name = "TIME", default_value = "10m")]
    pub give_up_after: humantime::Duration,
    /// How much may wait for an ACK; reading pauses when it is full
    #[arg(long, env = "OTTO_PUSH_WINDOW", value_name = "SIZE", value_parser = window, default_value = "8MiB")]
    pub window: bytesize::ByteSize,
    /// Copy the input to standard output too, to its end even when pushing gives up; a command's
    /// errors go to standard error
    #[arg(long, env = "OTTO_PUSH_TEE", value_parser = BoolishValueParser::new())]
    pub tee: bool,
    /// Keep what cannot be delivered in files in this directory, which must exist; the next push with
    /// the same directory sends them, beside its own lines
    #[arg(long, env = "OTTO_PUSH_SPOOL", value_name = "DIR")]
    pub spool: Option<PathBuf>,
    /// How much all files of the spool may have together, at least 64KiB
    #[arg(long, env = "OTTO_PUSH_SPOOL_BYTES", value_name = "SIZE", default_value = "256MiB")]
    pub spool_bytes: bytesize::ByteSize,
    /// End with exit code 5 when the server does not keep everything
    #[arg(long, env = "OTTO_PUSH_REQUIRED", value_parser = BoolishValueParser::new())]
    pub required: bool,
    /// Print only what goes wrong
    #[arg(long, short, env = "OTTO_PUSH_QUIET", value_parser = BoolishValueParser::new())]
    pub quiet: bool,
    /// The viewer's address, for the link that is printed; without it port 4000 beside the server
    #[arg(long, env = "OTTO_PUSH_VIEWER", value_name = "URL", value_parser = http_url_text)]
    pub viewer: Option<String>,
    /// Give the command a terminal, for colours and progress bars
    #[arg(long, env = "OTTO_PUSH_PTY", value_parser = BoolishValueParser::new())]
    pub pty: bool,
    /// The command to run, after `--`
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// How the worker has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum LastStatus {
    /// The worker succeeded.
    Completed,
    /// The worker failed.
    Failed,
    /// No status is sent.
    None,
}

impl LastStatus {
    pub(super) fn first_state(self) -> Option<WorkerState> {
        self.last_state().map(|_| WorkerState::Running)
    }

    pub(super) fn last_state(self) -> Option<WorkerState> {
        match self {
            Self::Completed => Some(WorkerState::Completed),
            Self::Failed => Some(WorkerState::Failed),
            Self::None => None,
        }
    }
}

/// The worker's name on a machine that has none, or one that cannot be a worker's.
const NAMELESS: &str = "push";

/// The port that servers have for HTTP unless they are told another.
const HTTP_PORT: u16 = 4000;

pub(super) fn options(args: &Args) -> PushOptions {
    let mut options = PushOptions::new(args.to.clone());
    options.token.clone_from(&args.token);
    options.ends_task = args.end_task;
    options.give_up_after = or_for_ever(args.give_up_after.into());
    options.window_bytes = usize::try_from(args.window.as_u64()).unwrap_or(usize::MAX);
    options
}

fn window(text: &str) -> Result<bytesize::ByteSize, String> {
    let size: bytesize::ByteSize = text.parse()?;
    if size.as_u64() == 0 { Err("it needs more than 0".into()) } else { Ok(size) }
}

/// No limit where it is 0.
fn or_for_ever(limit: Duration) -> Duration {
    if limit.is_zero() { Duration::MAX } else { limit }
}

pub(super) fn producer(args: &Args) -> Producer {
    Producer {
        task: args.task.clone(),
        worker: args.worker.clone().unwrap_or_else(machine),
        level: args.level.clone(),
        source: args.source.clone(),
    }
}

fn machine() -> WorkerId {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    WorkerId::new(&name).unwrap_or_else(|_| WorkerId::new(NAMELESS).expect("it is one"))
}

/// The address of the task's page.
pub(super) fn page(args: &Args) -> Result<String, UrlError> {
    let beside = || format!("http://{}:{HTTP_PORT}", args.to.host().unwrap_or("127.0.0.1"));
    let viewer = args.viewer.clone().unwrap_or_else(beside);
    task_page_url(&viewer, &args.task).map(String::from)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn the_machine_is_the_worker_and_the_viewer_is_beside_the_server_unless_told() {
        let line = "push --task a/b --to http://[::1]:8080 -- make -j8 --task x";
        let args = Command::parse_from(line.split(' ')).args;
        assert_eq!(args.command, ["make", "-j8", "--task", "x"]);
        assert_eq!(producer(&args).worker, machine());
        assert_eq!(page(&args).unwrap(), "http://[::1]:4000/tasks/a%2Fb");
        let args = Args { viewer: Some("https://logs.example/otto/".into()), ..args };
        assert_eq!(page(&args).unwrap(), "https://logs.example/otto/tasks/a%2Fb");
        let args = Args { viewer: Some("logs".into()), ..args };
        assert!(page(&args).unwrap_err().to_string().contains("\"logs\""));
    }
}
