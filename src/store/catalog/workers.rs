//! The workers of one task, in the order in which they first appeared.

use super::stats::RunStats;
use super::worker::Worker;
use crate::domain::{IdMap, Offset, WorkerCounts, WorkerId, WorkerSummary};
use crate::store::format::{WorkerFacts, WorkerRecord};

/// Up to so many workers are searched one by one; most tasks have fewer.
const SEARCHED_WORKERS: usize = 8;

/// The workers of one task.
#[derive(Debug, Default)]
pub(in crate::store) struct Workers {
    /// By ordinal.
    rows: Vec<Worker>,
    /// Where each stands in `rows`, once there are many.
    by_id: Option<Box<IdMap<WorkerId, usize>>>,
    counts: WorkerCounts,
    next_ordinal: u32,
}

impl Workers {
    fn position(&self, worker: &str) -> Option<usize> {
        match &self.by_id {
            Some(by_id) => by_id.get(worker).copied(),
            None => self.rows.iter().position(|known| known.id.as_str() == worker),
        }
    }

    pub(super) fn counts(&self) -> WorkerCounts {
        self.counts
    }

    pub(super) fn get(&self, worker: &str) -> Option<&Worker> {
        Some(&self.rows[self.position(worker)?])
    }

    pub(in crate::store) fn summary(&self, worker: &str) -> Option<WorkerSummary> {
        Some(self.rows[self.position(worker)?].summary())
    }

    /// Up to `limit` workers from the `skip`th on.
    pub(in crate::store) fn page(&self, skip: usize, limit: usize) -> Vec<WorkerSummary> {
        self.rows.iter().skip(skip).take(limit).map(Worker::summary).collect()
    }

    /// Notes what a run says of its worker; returns the bytes it added.
    pub(super) fn note_run(&mut self, run: &RunStats<'_>) -> usize {
        if let Some(at) = self.position(run.worker) {
            let worker = &mut self.rows[at];
            self.counts.remove(worker.counted());
            let added = worker.note_run(run);
            self.counts.add(worker.counted());
            return added;
        }
        if run.records.is_of_task_alone() {
            return 0;
        }
        let Ok(id) = WorkerId::new(run.worker) else { return 0 };
        let mut worker = Worker::new(id, self.next_ordinal);
        worker.note_run(run);
        self.push(worker)
    }

    /// Takes a worker in as the task index has it, the one after those taken in before; returns
    /// the bytes it added, `None` where the record says nonsense.
    pub(super) fn restore(
        &mut self,
        record: &WorkerRecord<'_>,
        facts: &WorkerFacts,
    ) -> Option<usize> {
        Some(self.push(Worker::of_record(record, facts)?))
    }

    /// The next worker's ordinal is at least `ordinal`.
    pub(super) fn continue_at(&mut self, ordinal: u32) {
        self.next_ordinal = self.next_ordinal.max(ordinal);
    }

    fn push(&mut self, worker: Worker) -> usize {
        let added = worker.cost();
        self.next_ordinal = self.next_ordinal.max(worker.ordinal + 1);
        self.counts.add(worker.counted());
        if let Some(by_id) = &mut self.by_id {
            by_id.insert(worker.id.clone(), self.rows.len());
        }
        if self.rows.is_empty() {
            self.rows.reserve_exact(1);
        }
        self.rows.push(worker);
        self.index_when_many();
        added
    }

    fn index_when_many(&mut self) {
        if self.rows.len() > SEARCHED_WORKERS && self.by_id.is_none() {
            let rows = self.rows.iter().enumerate();
            self.by_id = Some(Box::new(rows.map(|(at, worker)| (worker.id.clone(), at)).collect()));
        }
    }

    /// Forgets those that have nothing at or after `first`; returns the bytes it freed.
    pub(super) fn forget_before(&mut self, first: Offset) -> usize {
        let (mut freed, counts) = (0, &mut self.counts);
        let rows = self.rows.len();
        self.rows.retain(|worker| {
            let is_gone = worker.last < first;
            if is_gone {
                freed += worker.cost();
                counts.remove(worker.counted());
            }
            !is_gone
        });
        if self.rows.len() < rows {
            self.by_id = None;
            self.index_when_many();
        }
        freed
    }

    /// What a footer says of those that have an entry at or after `first`.
    pub(super) fn records(&self, first: Offset) -> Vec<WorkerRecord<'_>> {
        self.rows.iter().filter(|worker| worker.last >= first).map(Worker::record).collect()
    }

    /// What a footer says of those beside their records, where there is something to say.
    pub(super) fn facts(&self, first: Offset) -> Vec<(u32, WorkerFacts)> {
        let rows = self.rows.iter().filter(|worker| worker.last >= first);
        let facts = rows.map(|worker| (worker.ordinal, worker.facts()));
        facts.filter(|(_, facts)| *facts != WorkerFacts::default()).collect()
    }

    /// About what they take, in bytes.
    pub(super) fn cost(&self) -> usize {
        self.rows.iter().map(Worker::cost).sum()
    }
}
