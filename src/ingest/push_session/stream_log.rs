//! The line that a push stream leaves in the process's log at its end.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;

use super::super::intake::Intake;
use super::super::reader::Ids;
use crate::store::Committed;

/// What a push stream did; logged when it is dropped.
pub(super) struct StreamLog {
    intake: Intake,
    pub(super) peer: Option<SocketAddr>,
    opened: Instant,
    /// The first task and worker.
    first: Option<Arc<Ids>>,
    /// How many tasks it sent entries of, as far as it is remembered which it did.
    tasks: usize,
    kept: u64,
    repeated: u64,
    dropped: u64,
    retried: u64,
    end: StreamEnd,
}

/// How a stream ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum StreamEnd {
    /// Its producer ended it.
    Done,
    /// It was cut, or broke a rule of the transport.
    Cut,
    /// The server shuts down.
    Draining,
    /// The store takes nothing more.
    StoreFailed,
}

impl StreamEnd {
    const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Cut => "cut",
            Self::Draining => "draining",
            Self::StoreFailed => "store_failed",
        }
    }
}

impl StreamLog {
    pub(super) fn new(intake: Intake) -> Self {
        let (tasks, kept, repeated, dropped, retried) = Default::default();
        let (peer, first, end) = (None, None, StreamEnd::Done);
        let opened = Instant::now();
        Self { intake, peer, opened, first, tasks, kept, repeated, dropped, retried, end }
    }

    /// Notes that it sends entries of `ids`, and of how many tasks until now.
    pub(super) fn note_ids(&mut self, ids: &Arc<Ids>, tasks: usize) {
        self.first.get_or_insert_with(|| Arc::clone(ids));
        self.tasks = tasks;
    }

    pub(super) fn note_committed(&mut self, committed: Committed, dropped: u64) {
        self.kept += u64::from(committed.kept);
        self.repeated += u64::from(committed.repeated);
        self.dropped += dropped;
    }

    pub(super) fn note_retried(&mut self, entries: u64) {
        self.retried += entries;
    }

    pub(super) fn note_end(&mut self, end: StreamEnd) {
        self.end = end;
    }
}

impl Drop for StreamLog {
    fn drop(&mut self) {
        let Self { peer, tasks, kept, repeated, dropped, retried, .. } = *self;
        let peer = peer.map(tracing::field::display);
        let ids = self.first.as_deref();
        let (task, worker) = (ids.map(|ids| ids.task.as_str()), ids.map(|ids| ids.worker.as_str()));
        let (seconds, end) = (self.opened.elapsed().as_secs_f64(), self.end.name());
        self.intake.shared().log_lines.streams.log(|streams| {
            tracing::info!(
                peer,
                task,
                worker,
                tasks,
                kept,
                repeated,
                dropped,
                retried,
                seconds,
                end,
                streams,
                "a push stream ended"
            );
        });
    }
}
