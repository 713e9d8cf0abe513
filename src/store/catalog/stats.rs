//! What runs say of their workers: counted once, for the catalog.

use serde::Deserialize;

use super::notified::Notified;
use crate::domain::{Block, Gap, Kind, Offset, Outcome, Records, Run, ToldEnd};
use crate::encode::read_body;

/// What consecutive entries of one worker and session say.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) struct RunStats<'a> {
    pub(super) worker: &'a str,
    /// The session and its last number, where the producer numbers its entries.
    pub(super) session: Option<(&'a str, u64)>,
    pub(super) records: RecordStats,
}

/// What records say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::store) struct RecordStats {
    pub(in crate::store) lines: u64,
    /// Lines that could not be kept, by `gap` records.
    pub(in crate::store) lost_lines: u64,
    /// Those of them that the producer's numbers left out.
    pub(super) missing: u64,
    /// Streams that were cut.
    pub(super) cut: u32,
    /// The notification that counts of those in it.
    pub(super) status: Option<Notified>,
    /// The offset of the last notification.
    pub(super) last_status: Option<Offset>,
    /// The task's last end that was told.
    pub(super) told_end: Option<ToldEnd>,
    /// Whether the worker goes on, by a line or a notification; after `told_end`, where that is set.
    pub(super) goes_on: bool,
    /// The last entry's offset.
    pub(super) last: Offset,
}

impl RecordStats {
    /// What `records` say, the first of which gets the offset `first`.
    pub(in crate::store) fn of(records: &Records, first: Offset) -> Self {
        let mut stats = Self::default();
        for (offset, (kind, body)) in (first.0..).zip(records.iter()) {
            stats.note(kind, body, Offset(offset));
        }
        stats
    }

    fn note(&mut self, kind: Kind, body: &[u8], offset: Offset) {
        self.last = offset;
        match kind {
            Kind::Log => self.lines += 1,
            Kind::Part => {}
            Kind::Gap => self.note_gap(&read_body(body).unwrap_or_default()),
            Kind::Status(state) => self.note_status(Notified::of_record(state, body, offset)),
            Kind::End => self.note_end(body, offset),
        }
        self.goes_on |= goes_on(kind);
    }

    fn note_gap(&mut self, gap: &GapBody) {
        let lines = gap.lines.unwrap_or_default();
        self.lost_lines = self.lost_lines.saturating_add(lines);
        match &*gap.reason {
            Gap::CUT => self.cut += 1,
            Gap::NUMBERING => self.missing = self.missing.saturating_add(lines),
            _ => {}
        }
    }

    fn note_status(&mut self, status: Notified) {
        let known = self.status;
        self.status = Some(known.map_or(status, |known| Notified::which_counts(known, status)));
        self.last_status = Some(status.offset);
    }

    fn note_end(&mut self, body: &[u8], offset: Offset) {
        let outcome = read_body::<EndBody>(body).and_then(|end| end.outcome);
        self.told_end = Some(ToldEnd { outcome, offset, is_reopened: false });
        self.goes_on = false;
    }

    /// Whether they say something of the task alone, and nothing of a worker.
    pub(super) fn is_of_task_alone(&self) -> bool {
        let says_of_worker = self.lines > 0 || self.lost_lines > 0 || self.cut > 0;
        self.told_end.is_some() && !says_of_worker && self.last_status.is_none()
    }
}

/// Whether a record of this kind shows that its task goes on.
fn goes_on(kind: Kind) -> bool {
    match kind {
        Kind::Log | Kind::Part => true,
        Kind::Status(state) => !state.has_ended(),
        Kind::Gap | Kind::End => false,
    }
}

impl<'a> RunStats<'a> {
    /// What `run` says, whose records say `records`.
    pub(in crate::store) fn of_run(run: &'a Run, records: RecordStats) -> Self {
        let last_seq = |seqs: &[u64]| seqs.last().copied().unwrap_or(0);
        let session = run.session.as_ref();
        let session = session.map(|session| (&*session.id, last_seq(&session.seqs)));
        Self { worker: run.worker.as_str(), session, records }
    }

    /// What `block` says, run by run: walks it once.
    pub(in crate::store) fn of_block(block: &'a Block) -> Vec<Self> {
        let mut runs: Vec<Self> = Vec::new();
        for entry in block.entries() {
            let session = entry.session.map(|session| (session.id, session.last_seq));
            let worker = entry.worker;
            let goes_on = |run: &Self| {
                std::ptr::eq(run.worker, worker) && run.session.is_some() == session.is_some()
            };
            if !runs.last().is_some_and(goes_on) {
                runs.push(Self { worker, session, records: RecordStats::default() });
            }
            let run = runs.last_mut().expect("one was there or was pushed");
            run.records.note(entry.kind, entry.body, entry.offset);
        }
        runs
    }
}

/// What a gap record's body says.
#[derive(Default, Deserialize)]
#[serde(default)]
struct GapBody {
    /// `null` where nobody knows how many.
    lines: Option<u64>,
    reason: String,
}

/// What the body of a told end says.
#[derive(Deserialize)]
struct EndBody {
    #[serde(default)]
    outcome: Option<Outcome>,
}
