//! What is known of one worker of a task.

use std::sync::Arc;

use super::stats::RunStats;
use crate::domain::{Offset, WorkerId, WorkerState, WorkerSummary};
use crate::store::format::{NotifiedState, WorkerRecord};

/// Sessions remembered per worker, those used last. A producer has one, and a new one when it
/// restarts; the others leave room for strangers, whose sessions must not push it out before it
/// has sent again what was not acknowledged.
const MAX_SESSIONS: usize = 64;

/// What allocations and the like add to a row, in bytes; a cautious guess.
pub(super) const ROW_COST_BYTES: usize = 64;

/// One worker of a task.
#[derive(Debug)]
pub(in crate::store) struct Worker {
    pub(super) id: WorkerId,
    /// Its place among the task's workers.
    pub(super) ordinal: u32,
    lines: u64,
    state: Option<NotifiedState>,
    /// Its last entry.
    pub(super) last: Offset,
    /// The session used last stands at the end.
    sessions: Vec<LastSequence>,
}

/// The last number of a session.
#[derive(Debug)]
struct LastSequence {
    session: Arc<str>,
    seq: u64,
}

impl Worker {
    pub(super) fn new(id: WorkerId, ordinal: u32) -> Self {
        Self { id, ordinal, lines: 0, state: None, last: Offset(0), sessions: Vec::new() }
    }

    /// A worker as a footer or the task index has it; `None` where that says nonsense.
    pub(in crate::store) fn of_record(record: &WorkerRecord<'_>) -> Option<Self> {
        let mut worker = Self {
            id: WorkerId::new(record.worker).ok()?,
            ordinal: record.ordinal,
            lines: record.lines,
            state: record.state,
            last: record.last,
            sessions: Vec::with_capacity(record.sessions.len()),
        };
        for (session, seq) in &record.sessions {
            worker.note_session(session, *seq);
        }
        Some(worker)
    }

    /// Notes what a run says of it; returns the bytes it added.
    pub(super) fn note_run(&mut self, run: &RunStats<'_>) -> usize {
        self.lines += run.records.lines;
        self.last = run.records.last;
        self.state = run.records.state.or(self.state);
        run.session.map_or(0, |(session, seq)| self.note_session(session, seq))
    }

    /// Notes a session's last number; returns the bytes it added.
    fn note_session(&mut self, session: &str, seq: u64) -> usize {
        if let Some(at) = self.sessions.iter().position(|known| *known.session == *session) {
            let known = self.sessions.remove(at);
            self.sessions.push(LastSequence { seq: known.seq.max(seq), ..known });
            return 0;
        }
        let mut freed = 0;
        if self.sessions.len() == MAX_SESSIONS {
            freed = session_cost(&self.sessions.remove(0).session);
        } else if self.sessions.is_empty() {
            self.sessions.reserve_exact(1);
        }
        self.sessions.push(LastSequence { session: session.into(), seq });
        session_cost(session).saturating_sub(freed)
    }

    /// The last kept number of a session.
    pub(super) fn last_seq(&self, session: &str) -> Option<u64> {
        let known = self.sessions.iter().find(|known| *known.session == *session);
        known.map(|known| known.seq)
    }

    /// Its last notified state.
    pub(super) fn state(&self) -> Option<WorkerState> {
        self.state.map(|notified| notified.state)
    }

    pub(in crate::store) fn summary(&self) -> WorkerSummary {
        WorkerSummary {
            worker: self.id.clone(),
            lines: self.lines,
            state: self.state(),
            state_offset: self.state.map(|notified| notified.offset),
        }
    }

    /// What a footer says of it.
    pub(super) fn record(&self) -> WorkerRecord<'_> {
        let sessions = self.sessions.iter().map(|known| (&*known.session, known.seq));
        WorkerRecord {
            ordinal: self.ordinal,
            worker: self.id.as_str(),
            lines: self.lines,
            state: self.state,
            last: self.last,
            sessions: sessions.collect(),
        }
    }

    /// About what it takes, in bytes.
    pub(super) fn cost(&self) -> usize {
        let sessions = self.sessions.iter().map(|known| session_cost(&known.session));
        ROW_COST_BYTES + size_of::<Self>() + self.id.as_str().len() + sessions.sum::<usize>()
    }
}

fn session_cost(session: &str) -> usize {
    size_of::<LastSequence>() + 16 + session.len()
}
