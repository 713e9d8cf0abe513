//! What runs say of their workers: counted once, for the catalog.

use serde::Deserialize;

use crate::domain::{Block, Kind, Offset, Records, Run};
use crate::store::format::NotifiedState;

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
    pub(super) lost_lines: u64,
    /// The last notified state.
    pub(super) state: Option<NotifiedState>,
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
            Kind::Gap => self.lost_lines += lost_lines(body),
            Kind::Status(state) => self.state = Some(NotifiedState { state, offset }),
        }
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

#[derive(Deserialize)]
struct GapBody {
    #[serde(default)]
    lines: u64,
}

/// The member `lines` of a gap record's body, which lacks its opening brace.
fn lost_lines(body: &[u8]) -> u64 {
    let json = [b"{", body].concat();
    serde_json::from_slice::<GapBody>(&json).map_or(0, |gap| gap.lines)
}
