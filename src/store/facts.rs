//! What a block says of its workers: counted once, for the directory.

use serde::Deserialize;

use crate::domain::{Block, Kind, WorkerState};

/// What a block says, run by run.
#[derive(Debug, Default)]
pub(super) struct Facts<'a> {
    pub(super) runs: Vec<RunFacts<'a>>,
}

/// What consecutive entries of one worker and session say.
#[derive(Debug)]
pub(super) struct RunFacts<'a> {
    pub(super) worker: &'a str,
    pub(super) session: Option<(&'a str, u64)>,
    pub(super) lines: u64,
    /// Lines that could not be kept, by `gap` records.
    pub(super) lost_lines: u64,
    /// The last notified state, and where.
    pub(super) state: Option<(WorkerState, u64)>,
    /// The last entry's offset.
    pub(super) last: u64,
}

impl<'a> Facts<'a> {
    /// Walks `block` once.
    pub(super) fn of(block: &'a Block) -> Self {
        let mut runs: Vec<RunFacts<'a>> = Vec::new();
        for entry in block.entries() {
            let (worker, session) = (entry.worker, entry.session);
            let goes_on = |run: &RunFacts<'_>| {
                std::ptr::eq(run.worker, worker) && run.session.is_some() == session.is_some()
            };
            if !runs.last().is_some_and(goes_on) {
                let (lines, lost_lines, last) = (0, 0, 0);
                runs.push(RunFacts { worker, session, lines, lost_lines, state: None, last });
            }
            let run = runs.last_mut().expect("one was there or was pushed");
            run.last = entry.offset.0;
            match entry.kind {
                Kind::Log => run.lines += 1,
                Kind::Gap => run.lost_lines += lost_lines(entry.body),
                Kind::Status(state) => run.state = Some((state, entry.offset.0)),
            }
        }
        Self { runs }
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
