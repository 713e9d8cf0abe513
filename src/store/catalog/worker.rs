//! What is known about one worker of a task.

use std::sync::Arc;

use super::notified::Notified;
use super::stats::RunStats;
use crate::domain::{CountedWorker, Offset, WorkerId, WorkerState, WorkerSummary};
use crate::store::format::{NotifiedState, WorkerFacts, WorkerRecord};

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
    pub(super) lines: u64,
    /// The notification that counts.
    status: Option<Notified>,
    /// The offset of its last notification.
    last_status: Option<Offset>,
    cut: u32,
    missing: u64,
    /// Lines that were refused and told since its last numbered one, as far as this process knows.
    pub(in crate::store) refused: u64,
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
        Self {
            id,
            ordinal,
            lines: 0,
            status: None,
            last_status: None,
            cut: 0,
            missing: 0,
            refused: 0,
            last: Offset(0),
            sessions: Vec::new(),
        }
    }

    /// A worker as a footer or the task index has it; `None` where that says nonsense.
    pub(in crate::store) fn of_record(
        record: &WorkerRecord<'_>,
        facts: &WorkerFacts,
    ) -> Option<Self> {
        let status = record.state.map(|NotifiedState { state, offset }| {
            let WorkerFacts { told_ms, exit_code, .. } = *facts;
            Notified { state, offset, told_ms, exit_code }
        });
        let mut worker = Self {
            id: WorkerId::new(record.worker).ok()?,
            ordinal: record.ordinal,
            lines: record.lines,
            status,
            last_status: facts.outranked.or(status.map(|status| status.offset)),
            cut: facts.cut,
            missing: facts.missing,
            refused: 0,
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
        self.status = match (self.status, run.records.status) {
            (Some(known), Some(new)) => Some(Notified::which_counts(known, new)),
            (known, new) => new.or(known),
        };
        self.last_status = run.records.last_status.or(self.last_status);
        self.cut += run.records.cut;
        self.missing = self.missing.saturating_add(run.records.missing);
        let refused = run.records.lost_lines - run.records.missing;
        self.refused = run.session.map_or(self.refused.saturating_add(refused), |_| 0);
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
    pub(in crate::store) fn last_seq(&self, session: &str) -> Option<u64> {
        let known = self.sessions.iter().find(|known| *known.session == *session);
        known.map(|known| known.seq)
    }

    /// What decides where it is counted.
    pub(super) fn counted(&self) -> CountedWorker {
        CountedWorker { state: self.state(), lines: self.lines, cut: self.cut }
    }

    /// The notified state that counts.
    fn state(&self) -> Option<WorkerState> {
        self.status.map(|status| status.state)
    }

    pub(in crate::store) fn summary(&self) -> WorkerSummary {
        WorkerSummary {
            worker: self.id.clone(),
            lines: self.lines,
            state: self.state(),
            state_offset: self.status.map(|status| status.offset),
            last_status: self.last_status,
            exit_code: self.status.and_then(|status| status.exit_code),
            cut: self.cut,
            missing: self.missing,
        }
    }

    /// What a footer says of it.
    pub(super) fn record(&self) -> WorkerRecord<'_> {
        let sessions = self.sessions.iter().map(|known| (&*known.session, known.seq));
        WorkerRecord {
            ordinal: self.ordinal,
            worker: self.id.as_str(),
            lines: self.lines,
            state: self
                .status
                .map(|Notified { state, offset, .. }| NotifiedState { state, offset }),
            last: self.last,
            sessions: sessions.collect(),
        }
    }

    /// What a footer says of it beside its record.
    pub(super) fn facts(&self) -> WorkerFacts {
        let status = self.status;
        let counts = status.map(|status| status.offset);
        WorkerFacts {
            told_ms: status.and_then(|status| status.told_ms),
            exit_code: status.and_then(|status| status.exit_code),
            cut: self.cut,
            missing: self.missing,
            outranked: self.last_status.filter(|last| Some(*last) != counts),
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
