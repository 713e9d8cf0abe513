//! Makes the blocks of one commit: groups runs by task, drops repeats, cuts chunks.

use std::ops::Range;
use std::sync::Arc;

use super::cursors::Cursors;
use super::directory::Directory;
use super::log::Committed;
use super::stats::{RecordStats, RunStats};
use super::task::Task;
use crate::domain::{
    Batch, Block, IdMap, Offset, ProducerSession, Records, Run, TaskId, WorkerId, encode_run,
    encoded_run_bytes,
};

/// A chunk takes no further run once it has this many bytes of records, and longer runs are cut.
const CHUNK_BYTES: usize = 256 * 1024;

/// Room for this many runs is kept from commit to commit.
const MAX_SPARE_RUNS: usize = 4096;

/// What one commit gathers, and the blocks that it makes of it. Reused from commit to commit.
///
/// Runs stay where they arrived, chained by task, until the commit is over: nothing moves, and
/// what they say of their workers needs no copy of the ids. Only their records go at once.
#[derive(Debug, Default)]
pub(super) struct Staging {
    runs: Vec<StagedRun>,
    tasks: Vec<Chain>,
    by_task: IdMap<TaskId, usize>,
    /// The last staged number of each session.
    sessions: IdMap<(usize, WorkerId, Arc<str>), u64>,
    blocks: Vec<Arc<Block>>,
    /// Beside each block, where it comes from.
    origins: Vec<Origin>,
    /// What the commit advances.
    pub(super) cursors: Cursors,
}

#[derive(Debug)]
struct StagedRun {
    run: Run,
    stats: RecordStats,
    /// The next run of the same task.
    next: Option<usize>,
}

/// The runs of one task; none where all were repeats.
#[derive(Debug, Default, Clone, Copy)]
struct Chain {
    first: Option<usize>,
    last: Option<usize>,
}

/// Where a block comes from.
#[derive(Debug, Clone, Copy)]
struct Origin {
    /// Its first run, and how many there are.
    first: usize,
    runs: usize,
    /// The task's entry before it.
    previous: u64,
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
            if run.records.as_bytes().len() > CHUNK_BYTES {
                parts(&run).into_iter().for_each(|part| self.push(at, part));
            } else if kept > 0 {
                self.push(at, run);
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
        self.tasks.push(Chain::default());
        at
    }

    fn push(&mut self, task: usize, run: Run) {
        let at = self.runs.len();
        self.runs.push(StagedRun { run, stats: RecordStats::default(), next: None });
        let chain = &mut self.tasks[task];
        match chain.last.replace(at) {
            Some(last) => self.runs[last].next = Some(at),
            None => chain.first = Some(at),
        }
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

    /// Makes the blocks of what was taken in, each task's together.
    pub(super) fn make_blocks(&mut self, known: &Directory, time_ms: u64) {
        let mut base = known.tail;
        for at in 0..self.tasks.len() {
            let Some(first) = self.tasks[at].first else { continue };
            let known = known.tasks.get(&self.runs[first].run.task);
            let mut line = known.map_or(1, Task::next_line);
            let mut previous = known.map_or(0, Task::last);
            let mut rest = Some(first);
            while let Some(first) = rest {
                let (block, runs);
                (block, runs, rest) = self.make_block(first, (base, line), time_ms);
                self.origins.push(Origin { first, runs, previous });
                base = block.end().0;
                line += u64::from(block.lines);
                previous = block.last().0;
                self.blocks.push(Arc::new(block));
            }
        }
    }

    /// One chunk's block, how many runs it has, and the task's run after them.
    fn make_block(
        &mut self,
        first: usize,
        (base, line): (u64, u64),
        time_ms: u64,
    ) -> (Block, usize, Option<usize>) {
        let (runs, encoded_bytes) = self.measure_chunk(first);
        // The exact queue_permits: a payload that has more would be shared at the price of an allocation.
        let mut payload = Vec::with_capacity(encoded_bytes);
        let (mut count, mut lines) = (0, 0);
        let mut at = Some(first);
        for _ in 0..runs {
            let Some(staged) = at.map(|at| &mut self.runs[at]) else { break };
            encode_run(&mut payload, &staged.run);
            staged.stats = RecordStats::by(&staged.run.records, base + u64::from(count));
            count += staged.run.records.count();
            // Its queue_permits serves the next payload.
            drop(std::mem::take(&mut staged.run.records));
            lines += staged.stats.lines as u32;
            at = staged.next;
        }
        let task = self.runs[first].run.task.clone();
        let block = Block {
            task,
            base: Offset(base),
            base_line: line,
            count,
            lines,
            time_ms,
            payload: payload.into(),
        };
        (block, runs, at)
    }

    /// How many runs from `first` on go into one chunk, and their bytes once encoded.
    fn measure_chunk(&self, first: usize) -> (usize, usize) {
        let (mut runs, mut record_bytes, mut encoded_bytes) = (0, 0, 0);
        for StagedRun { run, .. } in self.chain(first) {
            runs += 1;
            record_bytes += run.records.as_bytes().len();
            encoded_bytes += encoded_run_bytes(run);
            if record_bytes >= CHUNK_BYTES {
                break;
            }
        }
        (runs, encoded_bytes)
    }

    fn chain(&self, first: usize) -> impl Iterator<Item = &StagedRun> {
        let staged = |at: usize| &self.runs[at];
        std::iter::successors(Some(staged(first)), move |run| run.next.map(staged))
    }

    /// The blocks that were made.
    pub(super) fn blocks(&self) -> &[Arc<Block>] {
        &self.blocks
    }

    /// Each block with the task's entry before it and what its runs say.
    pub(super) fn staged_blocks(
        &self,
    ) -> impl Iterator<Item = (&Block, u64, impl Iterator<Item = RunStats<'_>>)> {
        self.blocks.iter().zip(&self.origins).map(|(block, origin)| {
            let runs = self.chain(origin.first).take(origin.runs);
            let stats = runs.map(|staged| RunStats::of_run(&staged.run, staged.stats));
            (&**block, origin.previous, stats)
        })
    }

    /// Lets everything go.
    pub(super) fn clear(&mut self) {
        self.runs.clear();
        self.runs.shrink_to(MAX_SPARE_RUNS);
        self.tasks.clear();
        self.by_task.clear();
        self.sessions.clear();
        self.blocks.clear();
        self.origins.clear();
        self.cursors = Cursors::default();
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
    let session = Some(ProducerSession { id: session.id.clone(), seqs });
    Run { session, records, ..run }
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
    let session = session.map(|session| ProducerSession {
        id: session.id.clone(),
        seqs: session.seqs[range].into(),
    });
    Run { task: run.task.clone(), worker: run.worker.clone(), session, records }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Entry, Kind, WorkerState};

    /// Task, worker, whether numbered, and the records' kinds and sizes.
    type Spec = (u8, u8, bool, Vec<(u8, usize)>);

    fn specs() -> impl Strategy<Value = Vec<Spec>> {
        let size = prop_oneof![12 => 0..200_usize, 1 => 100_000..300_000_usize];
        let records = prop::collection::vec((0..4_u8, size), 0..6);
        prop::collection::vec((0..3_u8, 0..3_u8, any::<bool>(), records), 1..12)
    }

    fn run((task, worker, is_numbered, kinds): &Spec, seq: &mut u64) -> Run {
        let mut records = Records::default();
        let mut seqs = Vec::new();
        for (kind, size) in kinds {
            let kind = match kind {
                0 | 1 => Kind::Log,
                2 => Kind::Gap,
                _ => Kind::Status(WorkerState::Running),
            };
            let body = format!("\"lines\":{size},\"text\":\"{}\"}}", "x".repeat(*size));
            records.push(kind, body.as_bytes());
            *seq += 1;
            seqs.push(*seq);
        }
        let session = is_numbered.then(|| ProducerSession { id: "s".into(), seqs });
        let task = TaskId::new(&format!("t{task}")).unwrap();
        let worker = WorkerId::new(&format!("w{worker}")).unwrap();
        Run { task, worker, session, records }
    }

    proptest! {
        #[test]
        fn blocks_hold_what_was_added_and_their_facts_are_those_of_a_reader(specs in specs()) {
            let known = Directory::new();
            let mut staging = Staging::default();
            let mut seq = 0;
            let runs: Vec<_> = specs.iter().map(|spec| run(spec, &mut seq)).collect();
            let offered: u32 = runs.iter().map(|run| run.records.count()).sum();
            let committed = staging.add(Batch::of(runs.clone()), &known);
            prop_assert_eq!(committed, Committed { kept: offered, repeated: 0 });
            staging.make_blocks(&known, 5);
            let mut next = known.tail;
            let mut last = IdMap::default();
            let mut kept = Vec::new();
            for (block, previous, stats) in staging.staged_blocks() {
                prop_assert_eq!(block.check(), Ok(()));
                prop_assert_eq!(block.base.0, next);
                next = block.end().0;
                let (known_previous, line) = last.get(&block.task).copied().unwrap_or((0, 1));
                prop_assert_eq!((previous, block.base_line), (known_previous, line));
                last.insert(&block.task, (block.last().0, line + u64::from(block.lines)));
                prop_assert_eq!(stats.collect::<Vec<_>>(), RunStats::of_block(block));
                let entry = |entry: Entry<'_>| {
                    (block.task.clone(), entry.worker.to_owned(), entry.kind, entry.body.to_vec())
                };
                kept.extend(block.entries().map(entry));
            }
            for task in staging.blocks().iter().map(|block| &block.task) {
                let of_task = runs.iter().filter(|run| run.task == *task);
                let added = of_task.flat_map(|run| {
                    run.records.iter().map(|(kind, body)| {
                        (task.clone(), run.worker.to_string(), kind, body.to_vec())
                    })
                });
                let kept = kept.iter().filter(|(kept, ..)| kept == task).cloned();
                prop_assert!(added.eq(kept), "the entries of {task} differ");
            }
            prop_assert_eq!(kept.len(), offered as usize);
            staging.clear();
            prop_assert_eq!(staging.blocks().len(), 0);
        }
    }
}
