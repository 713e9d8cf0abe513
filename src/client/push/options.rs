//! Where to push, whose lines, and how patiently.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use tonic::transport::Uri;

use crate::domain::{TaskId, WorkerId, WorkerState};

/// Whose lines are pushed, and what they have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Producer {
    /// The task that they belong to.
    pub task: TaskId,
    /// The worker that they come from.
    pub worker: WorkerId,
    /// Their level, such as `INFO`.
    pub level: String,
    /// The source of lines that have none of their own, such as `stdout`.
    pub source: String,
}

/// How a worker ended: what is notified last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerEnd {
    /// Its last state.
    pub state: WorkerState,
    /// Why, for people to read; may be empty.
    pub reason: String,
    /// Its process's exit code, where one is known.
    pub exit_code: Option<i32>,
}

impl WorkerEnd {
    /// What the status's metadata says of it, and of the task where the worker's end is the task's.
    pub(super) fn metadata(&self, ends_task: bool) -> HashMap<String, String> {
        let code = self.exit_code.map(|code| ("exit_code".to_owned(), code.to_string()));
        let is_end = ends_task && self.state.has_ended();
        let end = is_end.then(|| ("otto.task".to_owned(), "end".to_owned()));
        code.into_iter().chain(end).collect()
    }
}

impl From<WorkerState> for WorkerEnd {
    fn from(state: WorkerState) -> Self {
        Self { state, reason: String::new(), exit_code: None }
    }
}

/// A worker's status, and when it was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedStatus {
    /// What it says.
    pub status: WorkerEnd,
    /// When, in RFC 3339.
    pub time: Arc<str>,
}

impl TimedStatus {
    /// `status`, reached at `time`.
    pub(super) fn at(status: WorkerEnd, time: Timestamp) -> Self {
        Self { status, time: format!("{time:.6}").into() }
    }
}

/// How a producer's session begins, or goes on in another process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumption {
    /// Its name: `otto.session`.
    pub session: String,
    /// The number that the next line gets: `otto.seq`.
    pub next_seq: u64,
    /// The status to tell before the first line.
    pub first_status: Option<TimedStatus>,
}

/// Where to push, and how long to try.
#[derive(Debug, Clone)]
pub struct PushOptions {
    /// The server's gRPC address, `http://host:port`, or `https://` with the system's certificates.
    pub to: Uri,
    /// Sent as `authorization: Bearer`.
    pub token: Option<String>,
    /// Whether the worker's end is the task's end too.
    pub ends_task: bool,
    /// What lines without an ACK may take, in bytes. A single larger line is sent alone.
    pub window_bytes: usize,
    /// How long to go on without any answer.
    pub give_up_after: Duration,
    /// The wait before the second attempt.
    pub min_backoff: Duration,
    /// The longest wait between attempts.
    pub max_backoff: Duration,
}

impl PushOptions {
    /// Pushes to `to` with a window of 8 MiB and waits of 0.2 to 10 s; gives up after ten minutes.
    pub fn new(to: Uri) -> Self {
        Self {
            to,
            token: None,
            ends_task: false,
            window_bytes: 8 << 20,
            give_up_after: Duration::from_secs(600),
            min_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(10),
        }
    }
}
