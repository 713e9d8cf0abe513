//! Makes the blocks of one commit: groups runs by task, drops repeats, cuts chunks.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::cursors::Cursors;
use super::directory::Directory;
use super::log::Committed;
use super::task::Task;
use crate::domain::{
    Batch, Block, Kind, Offset, Records, Run, Session, TaskId, WorkerId, encode_run,
};

/// A chunk takes no further run once its payload has this many bytes, and longer runs are cut.
const CHUNK_BYTES: usize = 256 * 1024;

/// A run's head in a payload is at most about this long beside the worker and session ids.
const RUN_HEAD_BYTES: usize = 32;

/// A block that is to be committed, and the task's entry before it.
#[derive(Debug)]
pub(super) struct StagedBlock {
    pub(super) block: Arc<Block>,
    pub(super) previous: u64,
}

#[derive(Debug)]
struct StagedTask {
    task: TaskId,
    runs: Vec<Run>,
}

/// What one commit gathers. Reused from commit to commit.
#[derive(Debug, Default)]
pub(super) struct Staging {
    tasks: Vec<StagedTask>,
    by_task: HashMap<TaskId, usize>,
    /// The last staged number of each session.
    sessions: HashMap<(usize, WorkerId, Arc<str>), u64>,
    /// What the commit advances.
    cursors: Cursors,
}

impl Staging {
    /// Takes `batch` in; `known` has what earlier commits kept.
    pub(super) fn add(&mut self, batch: Batch, known: &Directory) -> Committed {
        let mut committed = Committed { kept: 0, repeated: 0 };
        batch.cursor.into_iter().for_each(|cursor| self.cursors.advance(cursor));
        for run in batch.runs {
            let offered = run.records.count();
            let at = self.task_place(&run.task);
            let run = self.without_repeats(at, run, known);
            let kept = run.records.count();
            committed.kept += kept;
            committed.repeated += offered - kept;
            if kept > 0 {
                self.tasks[at].runs.push(run);
            }
        }
        committed
    }

    fn task_place(&mut self, task: &TaskId) -> usize {
        if let Some(&at) = self.by_task.get(task) {
            return at;
        }
        let at = self.tasks.len();
        self.by_task.insert(task.clone(), at);
        self.tasks.push(StagedTask { task: task.clone(), runs: Vec::new() });
        at
    }

    fn without_repeats(&mut self, at: usize, run: Run, known: &Directory) -> Run {
        let Some(session) = &run.session else { return run };
        let key = (at, run.worker.clone(), session.id.clone());
        let staged = self.sessions.get(&key).copied();
        let kept_before = || known.tasks.get(&run.task)?.last_seq(&run.worker, &session.id);
        let last = staged.or_else(kept_before);
        self.note(key, increasing(run, last))
    }

    fn note(&mut self, key: (usize, WorkerId, Arc<str>), run: Run) -> Run {
        let last = run.session.as_ref().and_then(|session| session.seqs.last());
        if let Some(&last) = last {
            self.sessions.insert(key, last);
        }
        run
    }

    /// The cursors that were taken in; leaves none.
    pub(super) fn take_cursors(&mut self) -> Cursors {
        std::mem::take(&mut self.cursors)
    }

    /// The blocks of what was taken in, each task's together; leaves the staging empty.
    pub(super) fn blocks(&mut self, known: &Directory, time_ms: u64) -> Vec<StagedBlock> {
        let mut blocks = Blocks { blocks: Vec::new(), next: known.tail, time_ms };
        for StagedTask { task, runs } in self.tasks.drain(..) {
            let known = known.tasks.get(&task);
            let mut draft = Draft {
                next_line: known.map_or(1, Task::next_line),
                previous: known.map_or(0, Task::last),
                task,
            };
            each_chunk(runs, |runs| blocks.push(&mut draft, runs));
        }
        self.by_task.clear();
        self.sessions.clear();
        blocks.blocks
    }
}

/// The run without the records whose numbers are not greater than `last` and those before them.
fn increasing(run: Run, last: Option<u64>) -> Run {
    let Some(session) = &run.session else { return run };
    let after = |last: Option<u64>, seq: u64| last.is_none_or(|last| seq > last);
    let all_new = session.seqs.first().is_none_or(|&first| after(last, first))
        && session.seqs.is_sorted_by(|a, b| a < b);
    if all_new {
        return run;
    }
    let mut last = last;
    let mut seqs = Vec::new();
    let mut records = Records::default();
    for (&seq, (kind, body)) in session.seqs.iter().zip(run.records.iter()) {
        if after(last, seq) {
            last = Some(seq);
            seqs.push(seq);
            records.push(kind, body);
        }
    }
    let session = Some(Session { id: session.id.clone(), seqs });
    Run { session, records, ..run }
}

/// Calls `each` with the runs of each chunk.
fn each_chunk(runs: Vec<Run>, mut each: impl FnMut(&[Run])) {
    let mut gathered = Vec::with_capacity(runs.len());
    let mut bytes = 0;
    let mut gather = |run: Run| {
        bytes += run.records.as_bytes().len();
        gathered.push(run);
        if bytes >= CHUNK_BYTES {
            each(&gathered);
            gathered.clear();
            bytes = 0;
        }
    };
    for run in runs {
        if run.records.as_bytes().len() <= CHUNK_BYTES {
            gather(run);
        } else {
            parts(&run).into_iter().for_each(&mut gather);
        }
    }
    if !gathered.is_empty() {
        each(&gathered);
    }
}

/// A run that is too long for a chunk, in parts.
fn parts(run: &Run) -> Vec<Run> {
    let mut parts = Vec::new();
    let mut records = Records::default();
    let mut begin = 0;
    for (end, (kind, body)) in (1..).zip(run.records.iter()) {
        records.push(kind, body);
        let is_last = end == run.records.count() as usize;
        if is_last || records.as_bytes().len() >= CHUNK_BYTES {
            parts.push(part(run, begin..end, std::mem::take(&mut records)));
            begin = end;
        }
    }
    parts
}

/// The part of `run` that has its records in `range`, which are `records`.
fn part(run: &Run, range: Range<usize>, records: Records) -> Run {
    let session = run.session.as_ref();
    let session =
        session.map(|session| Session { id: session.id.clone(), seqs: session.seqs[range].into() });
    Run { task: run.task.clone(), worker: run.worker.clone(), session, records }
}

/// A task whose blocks are being made.
struct Draft {
    task: TaskId,
    next_line: u64,
    previous: u64,
}

struct Blocks {
    blocks: Vec<StagedBlock>,
    next: u64,
    time_ms: u64,
}

impl Blocks {
    fn push(&mut self, draft: &mut Draft, runs: &[Run]) {
        let mut payload = Vec::with_capacity(runs.iter().map(encoded_bytes).sum());
        let (mut count, mut lines) = (0, 0);
        for run in runs {
            encode_run(&mut payload, run);
            count += run.records.count();
            lines += run.records.iter().filter(|(kind, _)| *kind == Kind::Log).count() as u32;
        }
        let base = Offset(self.next);
        let line = draft.next_line;
        let task = draft.task.clone();
        let block = Block::new(task, base, line, (count, lines), self.time_ms, payload.into());
        let previous = draft.previous;
        self.next = block.end().0;
        draft.next_line += u64::from(lines);
        draft.previous = block.last().0;
        self.blocks.push(StagedBlock { block: Arc::new(block), previous });
    }
}

fn encoded_bytes(run: &Run) -> usize {
    let session = run.session.as_ref().map_or(0, |session| session.id.len());
    RUN_HEAD_BYTES + run.worker.as_str().len() + session + run.records.as_bytes().len()
}
