//! Taking a sealed segment in, and letting one go.

use std::collections::HashMap;

use redb::{Database, ReadableTable, Table, WriteTransaction};

use super::error::IndexError;
use super::rows::{DeletionRow, SpanRow, TaskRow, TrimRow, decode, encode};
use super::tables::{DELETED, META, NEWEST, ORDINALS, SPANS, TASKS, TRIMMED, WORKERS};
use crate::domain::{CountedWorker, Epoch, Offset, WorkerCounts};
use crate::store::format::{
    FooterTasks, TaskFacts, TaskRecord, Tombstone, WorkerFacts, WorkerRecord,
};

/// A sealed segment's place in the store.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct SegmentRange {
    pub(in crate::store) base: Offset,
    /// The offset after its last entry.
    pub(in crate::store) end: Offset,
    /// The checksum of its index in store order: tells it from another segment of the same range.
    pub(in crate::store) crc: u32,
}

/// The version of the tables; an index of another one is made anew.
pub(super) const VERSION: u64 = 6;

/// Takes in what the footer of a segment says; segments come in order.
///
/// # Errors
/// When the index cannot be changed; nothing is changed then.
pub(super) fn add_segment(
    database: &Database,
    epoch: Epoch,
    segment: SegmentRange,
    tasks: &FooterTasks<'_>,
) -> Result<(), IndexError> {
    change(database, |write| {
        let mut tables = Tables::open(write)?;
        let facts = tasks.facts.iter().map(|facts| (facts.task, facts));
        let facts: HashMap<&str, &TaskFacts<'_>> = facts.collect();
        // The records say what came after.
        for tombstone in &tasks.tombstones {
            tables.delete(segment.base, tombstone)?;
        }
        for record in &tasks.records {
            tables.add(segment.base, record, facts.get(record.task).copied())?;
        }
        for (task, trim) in &tasks.trims {
            let row = encode(&TrimRow { trim: *trim, segment: segment.base });
            tables.trimmed.insert(*task, &row[..])?;
        }
        let mut meta = write.open_table(META)?;
        meta.insert("version", VERSION)?;
        meta.insert("epoch", u64::from(epoch.0))?;
        meta.insert("indexed_to", segment.end.0)?;
        meta.insert("last_crc", u64::from(segment.crc))?;
        Ok(())
    })
}

/// Lets go of what the footer of the oldest segment says: the tasks that have nothing else, and
/// the workers that have nothing later.
///
/// # Errors
/// When the index cannot be changed; nothing is changed then.
pub(super) fn remove_segment(
    database: &Database,
    segment: SegmentRange,
    tasks: &FooterTasks<'_>,
) -> Result<(), IndexError> {
    change(database, |write| {
        let mut tables = Tables::open(write)?;
        for record in &tasks.records {
            tables.remove(segment.base, record.task, &record.workers)?;
        }
        for tombstone in &tasks.tombstones {
            tables.forget_deletion(segment.base, tombstone)?;
        }
        for (task, _) in &tasks.trims {
            tables.forget_trim(segment.base, task)?;
        }
        Ok(())
    })
}

/// Lets go of every task's span of the segment that begins with `base`.
///
/// # Errors
/// When the index cannot be changed; nothing is changed then.
pub(super) fn remove_damaged_segment(database: &Database, base: Offset) -> Result<(), IndexError> {
    change(database, |write| {
        let mut tables = Tables::open(write)?;
        let mut tasks = Vec::new();
        for found in tables.spans.iter()? {
            let (key, _) = found?;
            let (task, segment) = key.value();
            if segment == base.0 {
                tasks.push(task.to_owned());
            }
        }
        for task in tasks {
            tables.remove(base, &task, &[])?;
        }
        tables
            .deleted
            .retain(|_, row| decode::<DeletionRow>(row).is_some_and(|row| row.segment != base))?;
        tables
            .trimmed
            .retain(|_, row| decode::<TrimRow>(row).is_some_and(|row| row.segment != base))?;
        Ok(())
    })
}

fn change(
    database: &Database,
    change: impl FnOnce(&WriteTransaction) -> Result<(), IndexError>,
) -> Result<(), IndexError> {
    let mut write = database.begin_write()?;
    // A crash must not cost the next start a walk through the whole file.
    write.set_quick_repair(true);
    change(&write)?;
    write.commit()?;
    Ok(())
}

struct Tables<'a> {
    spans: Table<'a, (&'static str, u64), &'static [u8]>,
    tasks: Table<'a, &'static str, &'static [u8]>,
    newest: Table<'a, u64, &'static str>,
    workers: Table<'a, (&'static str, u32), &'static [u8]>,
    ordinals: Table<'a, (&'static str, &'static str), u32>,
    deleted: Table<'a, &'static str, &'static [u8]>,
    trimmed: Table<'a, &'static str, &'static [u8]>,
}

impl<'a> Tables<'a> {
    fn open(write: &'a WriteTransaction) -> Result<Self, IndexError> {
        Ok(Self {
            spans: write.open_table(SPANS)?,
            tasks: write.open_table(TASKS)?,
            newest: write.open_table(NEWEST)?,
            workers: write.open_table(WORKERS)?,
            ordinals: write.open_table(ORDINALS)?,
            deleted: write.open_table(DELETED)?,
            trimmed: write.open_table(TRIMMED)?,
        })
    }

    fn row(&self, task: &str) -> Result<Option<TaskRow>, IndexError> {
        let Some(found) = self.tasks.get(task)? else { return Ok(None) };
        decode(found.value()).map(Some).ok_or_else(|| IndexError::Damaged(task.to_owned()))
    }

    /// Removes all that is known about a task that the segment deletes.
    fn delete(&mut self, segment: Offset, tombstone: &Tombstone<'_>) -> Result<(), IndexError> {
        let task = tombstone.task;
        let deletion = encode(&DeletionRow { end: tombstone.end, segment });
        self.deleted.insert(task, &deletion[..])?;
        self.trimmed.remove(task)?;
        let Some(row) = self.row(task)? else { return Ok(()) };
        self.spans.retain_in((task, 0)..=(task, u64::MAX), |_, _| false)?;
        self.newest.remove(row.last.0)?;
        self.tasks.remove(task)?;
        self.remove_all_workers(task)
    }

    /// Forgets a deletion whose segment goes, and with it everything that it deleted.
    fn forget_deletion(
        &mut self,
        segment: Offset,
        tombstone: &Tombstone<'_>,
    ) -> Result<(), IndexError> {
        let Some(found) = self.deleted.get(tombstone.task)? else { return Ok(()) };
        let row: Option<DeletionRow> = decode(found.value());
        drop(found);
        if row.is_none_or(|row| row.segment == segment) {
            self.deleted.remove(tombstone.task)?;
        }
        Ok(())
    }

    /// Forgets a trim whose segment goes, and with it everything that it took.
    fn forget_trim(&mut self, segment: Offset, task: &str) -> Result<(), IndexError> {
        let Some(found) = self.trimmed.get(task)? else { return Ok(()) };
        let row: Option<TrimRow> = decode(found.value());
        drop(found);
        if row.is_none_or(|row| row.segment == segment) {
            self.trimmed.remove(task)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        segment: Offset,
        record: &TaskRecord<'_>,
        facts: Option<&TaskFacts<'_>>,
    ) -> Result<(), IndexError> {
        let task = record.task;
        let mut row = match self.row(task)? {
            Some(known) => {
                self.newest.remove(known.last.0)?;
                known
            }
            None => TaskRow::default(),
        };
        (row.last, row.lost_lines) = (record.last, record.lost_lines);
        row.told_end = facts.and_then(|facts| facts.told_end);
        let of_workers = facts.map_or(&[][..], |facts| &facts.workers);
        for worker in &record.workers {
            let found = of_workers.binary_search_by_key(&worker.ordinal, |(ordinal, _)| *ordinal);
            let facts = found.map(|at| of_workers[at].1).unwrap_or_default();
            self.add_worker(task, worker, facts, &mut row)?;
        }
        let span = encode(&SpanRow::of_record(segment, record));
        self.spans.insert((task, segment.0), &span[..])?;
        self.newest.insert(row.last.0, task)?;
        self.tasks.insert(task, &encode(&row)[..])?;
        Ok(())
    }

    fn add_worker(
        &mut self,
        task: &str,
        worker: &WorkerRecord<'_>,
        facts: WorkerFacts,
        row: &mut TaskRow,
    ) -> Result<(), IndexError> {
        let encoded = encode(&(worker, facts));
        let key = (task, worker.ordinal);
        match self.workers.insert(key, &encoded[..])? {
            Some(known) => count_out(task, &mut row.counts, known.value())?,
            None => {
                self.ordinals.insert((task, worker.worker), worker.ordinal)?;
            }
        }
        row.counts.add(counted(worker, &facts));
        row.next_ordinal = row.next_ordinal.max(worker.ordinal + 1);
        Ok(())
    }

    fn remove(
        &mut self,
        segment: Offset,
        task: &str,
        workers: &[WorkerRecord<'_>],
    ) -> Result<(), IndexError> {
        self.spans.remove((task, segment.0))?;
        let Some(mut row) = self.row(task)? else { return Ok(()) };
        let Some(first) = self.first_offset(task)? else {
            self.newest.remove(row.last.0)?;
            self.tasks.remove(task)?;
            return self.remove_all_workers(task);
        };
        for worker in workers {
            self.remove_worker_before(task, worker.ordinal, first, &mut row)?;
        }
        self.tasks.insert(task, &encode(&row)[..])?;
        Ok(())
    }

    /// The first offset that the task still has.
    fn first_offset(&self, task: &str) -> Result<Option<Offset>, IndexError> {
        let mut spans = self.spans.range((task, 0)..=(task, u64::MAX))?;
        let Some(span) = spans.next().transpose()? else { return Ok(None) };
        let span: Option<SpanRow> = decode(span.1.value());
        span.map(|span| Some(span.first)).ok_or_else(|| IndexError::Damaged(task.to_owned()))
    }

    fn remove_worker_before(
        &mut self,
        task: &str,
        ordinal: u32,
        first: Offset,
        row: &mut TaskRow,
    ) -> Result<(), IndexError> {
        let Some(found) = self.workers.get((task, ordinal))? else { return Ok(()) };
        let (worker, facts) = read_worker(task, found.value())?;
        if worker.last >= first {
            return Ok(());
        }
        row.counts.remove(counted(&worker, &facts));
        self.ordinals.remove((task, worker.worker))?;
        drop(found);
        self.workers.remove((task, ordinal))?;
        Ok(())
    }

    fn remove_all_workers(&mut self, task: &str) -> Result<(), IndexError> {
        self.workers.retain_in((task, 0)..=(task, u32::MAX), |_, _| false)?;
        let mut names = Vec::new();
        for found in self.ordinals.range((task, "")..)? {
            let (key, _) = found?;
            let (found_task, worker) = key.value();
            if found_task != task {
                break;
            }
            names.push(worker.to_owned());
        }
        for worker in names {
            self.ordinals.remove((task, worker.as_str()))?;
        }
        Ok(())
    }
}

/// Counts a worker out whose row is `encoded`.
fn count_out(task: &str, counts: &mut WorkerCounts, encoded: &[u8]) -> Result<(), IndexError> {
    let (worker, facts) = read_worker(task, encoded)?;
    counts.remove(counted(&worker, &facts));
    Ok(())
}

fn read_worker<'a>(
    task: &str,
    encoded: &'a [u8],
) -> Result<(WorkerRecord<'a>, WorkerFacts), IndexError> {
    decode(encoded).ok_or_else(|| IndexError::Damaged(task.to_owned()))
}

fn counted(worker: &WorkerRecord<'_>, facts: &WorkerFacts) -> CountedWorker {
    let state = worker.state.map(|notified| notified.state);
    CountedWorker { state, lines: worker.lines, cut: facts.cut }
}
