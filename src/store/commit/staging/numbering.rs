//! Producers' own numbers: what was kept before is dropped, what was left out is told by gaps.

use std::sync::Arc;

use super::holes;
use crate::domain::{IdMap, Kind, Offset, ProducerSession, Records, Run, WorkerId};
use crate::store::catalog::{Catalog, RecordStats};

/// What one commit knows of numbers beside the catalog. Tasks are named by their place in the commit.
#[derive(Debug, Default)]
pub(super) struct SessionNumbers {
    /// The last staged number of each session.
    sessions: IdMap<(usize, WorkerId, Arc<str>), u64>,
    /// How many lines of a worker were refused since its last numbered one.
    refused: IdMap<(usize, WorkerId), u64>,
}

/// A run as it is kept.
pub(super) struct Numbered {
    /// Without repeats.
    pub(super) run: Run,
    /// The same with the gaps of numbers that were left out; `None` where there are none.
    pub(super) with_gaps: Option<Vec<Run>>,
}

impl SessionNumbers {
    /// What of `run` is kept; `known` has what earlier commits kept.
    pub(super) fn settle(&mut self, task: usize, run: Run, known: &Catalog) -> Numbered {
        let last = self.last_seq(task, &run, known);
        let run = self.without_repeats(task, run, last);
        let refused = self.count_refused(task, &run, known);
        let with_gaps = holes::with_gaps(&run, last, refused);
        Numbered { run, with_gaps }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.sessions.clear();
        self.refused.clear();
    }

    /// The last number of the run's session that is kept or staged.
    fn last_seq(&self, task: usize, run: &Run, known: &Catalog) -> Option<u64> {
        let session = &run.session.as_ref()?.id;
        let staged = self.sessions.get(&(task, run.worker.clone(), session.clone())).copied();
        staged.or_else(|| known.worker(&run.task, &run.worker)?.last_seq(session))
    }

    fn without_repeats(&mut self, task: usize, run: Run, last: Option<u64>) -> Run {
        let run = increasing(run, last);
        if let Some(session) = &run.session
            && let Some(&last) = session.seqs.last()
        {
            self.sessions.insert((task, run.worker.clone(), session.id.clone()), last);
        }
        run
    }

    /// How many lines of the run's worker were refused and told since its last numbered one.
    fn count_refused(&mut self, task: usize, run: &Run, known: &Catalog) -> u64 {
        let is_numbered = run.session.is_some();
        if !is_numbered && !is_gap(run) {
            return 0;
        }
        let key = (task, run.worker.clone());
        let staged = self.refused.get(&key).copied();
        let kept = || known.worker(&run.task, &run.worker).map_or(0, |worker| worker.refused);
        let before = staged.unwrap_or_else(kept);
        let lost = || RecordStats::of(&run.records, Offset(0)).lost_lines;
        let now = if is_numbered { 0 } else { before.saturating_add(lost()) };
        if now != before || staged.is_some() {
            self.refused.insert(key, now);
        }
        before
    }
}

/// Whether a run says only that lines of its worker are missing.
fn is_gap(run: &Run) -> bool {
    let mut records = run.records.iter();
    records.next().is_some_and(|(kind, _)| kind == Kind::Gap) && records.next().is_none()
}

/// The run without the records whose numbers are not greater than `last` and those before them.
/// A line's parts stay with it.
fn increasing(run: Run, last: Option<u64>) -> Run {
    let Some(session) = &run.session else { return run };
    let is_after = |last: Option<u64>, seq: u64| last.is_none_or(|last| seq > last);
    let all_new = session.seqs.first().is_none_or(|&first| is_after(last, first))
        && session.seqs.is_sorted_by(|a, b| a < b);
    if all_new {
        return run;
    }
    let mut last = last;
    let mut seqs = Vec::new();
    let mut records = Records::default();
    let mut is_new = false;
    for (&seq, (kind, body)) in session.seqs.iter().zip(run.records.iter()) {
        is_new = if kind == Kind::Part { is_new } else { is_after(last, seq) };
        if is_new {
            last = Some(seq);
            seqs.push(seq);
            records.push(kind, body);
        }
    }
    let session = Some(ProducerSession { id: session.id.clone(), seqs });
    Run { session, records, ..run }
}
