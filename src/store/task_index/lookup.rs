//! Looking tasks up.

use std::ops::Bound;

use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTableMetadata};

use super::error::IndexError;
use super::rows::{DeletionRow, SpanRow, TaskRow, TrimRow, WorkerRow, decode};
use super::tables::{DELETED, NEWEST, ORDINALS, SPANS, TASKS, TRIMMED, WORKERS};
use crate::domain::{LineNumber, Offset};
use crate::store::format::Trim;

/// The index as it was at one moment.
pub(in crate::store) struct IndexReader {
    spans: ReadOnlyTable<(&'static str, u64), &'static [u8]>,
    tasks: ReadOnlyTable<&'static str, &'static [u8]>,
    newest: ReadOnlyTable<u64, &'static str>,
    workers: ReadOnlyTable<(&'static str, u32), &'static [u8]>,
    ordinals: ReadOnlyTable<(&'static str, &'static str), u32>,
    deleted: ReadOnlyTable<&'static str, &'static [u8]>,
    trimmed: ReadOnlyTable<&'static str, &'static [u8]>,
}

/// All that the index has of one task.
#[derive(Debug)]
pub(in crate::store) struct IndexedTask {
    pub(in crate::store) row: TaskRow,
    /// Oldest first.
    pub(in crate::store) spans: Vec<SpanRow>,
    /// By ordinal.
    pub(in crate::store) workers: Vec<WorkerRow>,
    /// Its last deletion; the rest is of what came after it.
    pub(in crate::store) deletion: Option<DeletionRow>,
    /// What the limit on its bytes has taken.
    pub(in crate::store) trim: Option<Trim>,
}

fn damaged(task: &str) -> IndexError {
    IndexError::Damaged(task.to_owned())
}

impl IndexReader {
    pub(super) fn new(database: &Database) -> Result<Self, IndexError> {
        let read = database.begin_read()?;
        Ok(Self {
            spans: read.open_table(SPANS)?,
            tasks: read.open_table(TASKS)?,
            newest: read.open_table(NEWEST)?,
            workers: read.open_table(WORKERS)?,
            ordinals: read.open_table(ORDINALS)?,
            deleted: read.open_table(DELETED)?,
            trimmed: read.open_table(TRIMMED)?,
        })
    }

    /// What is known about `task` beside its spans and workers.
    ///
    /// # Errors
    /// When the index cannot be read; this holds for all that follow.
    pub(in crate::store) fn row(&self, task: &str) -> Result<Option<TaskRow>, IndexError> {
        let Some(found) = self.tasks.get(task)? else { return Ok(None) };
        decode(found.value()).map(Some).ok_or_else(|| damaged(task))
    }

    /// All of `task`.
    pub(in crate::store) fn load(&self, task: &str) -> Result<Option<IndexedTask>, IndexError> {
        let (row, deletion) = (self.row(task)?, self.deletion(task)?);
        if row.is_none() && deletion.is_none() {
            return Ok(None);
        }
        let spans = self.spans_from(task, Offset(0), usize::MAX)?;
        let workers = self.workers_from(task, 0, usize::MAX)?;
        let (row, trim) = (row.unwrap_or_default(), self.trim(task)?);
        Ok(Some(IndexedTask { row, spans, workers, deletion, trim }))
    }

    /// The last deletion of `task`.
    pub(in crate::store) fn deletion(&self, task: &str) -> Result<Option<DeletionRow>, IndexError> {
        let Some(found) = self.deleted.get(task)? else { return Ok(None) };
        decode(found.value()).map(Some).ok_or_else(|| damaged(task))
    }

    /// What the limit on its bytes has taken of `task`.
    pub(in crate::store) fn trim(&self, task: &str) -> Result<Option<Trim>, IndexError> {
        let Some(found) = self.trimmed.get(task)? else { return Ok(None) };
        let row: Option<TrimRow> = decode(found.value());
        row.map(|row| Some(row.trim)).ok_or_else(|| damaged(task))
    }

    /// Whether it knows of any deletion or trim.
    pub(in crate::store) fn has_hidden(&self) -> Result<bool, IndexError> {
        Ok(!(self.deleted.is_empty()? && self.trimmed.is_empty()?))
    }

    /// Up to `limit` spans of `task`, of the segments that begin at or after `segment`.
    pub(in crate::store) fn spans_from(
        &self,
        task: &str,
        segment: Offset,
        limit: usize,
    ) -> Result<Vec<SpanRow>, IndexError> {
        let range = self.spans.range((task, segment.0)..=(task, u64::MAX))?;
        let rows = range.take(limit).map(|found| {
            let (_, row) = found?;
            decode(row.value()).ok_or_else(|| damaged(task))
        });
        rows.collect()
    }

    /// The last span of `task`.
    pub(in crate::store) fn last_span(&self, task: &str) -> Result<Option<SpanRow>, IndexError> {
        let mut range = self.spans.range((task, 0)..=(task, u64::MAX))?;
        let Some(found) = range.next_back().transpose()? else { return Ok(None) };
        decode(found.1.value()).map(Some).ok_or_else(|| damaged(task))
    }

    /// The span that holds `offset`, or the first one after it, of the segments that begin at or
    /// after `start`.
    pub(in crate::store) fn span_at(
        &self,
        task: &str,
        start: Offset,
        offset: Offset,
    ) -> Result<Option<SpanRow>, IndexError> {
        if offset >= start {
            let mut before = self.spans.range((task, start.0)..=(task, offset.0))?;
            if let Some(found) = before.next_back().transpose()? {
                let span: SpanRow = decode(found.1.value()).ok_or_else(|| damaged(task))?;
                if span.last >= offset {
                    return Ok(Some(span));
                }
            }
        }
        let after = Offset(offset.0.saturating_add(1)).max(start);
        Ok(self.spans_from(task, after, 1)?.pop())
    }

    /// The span that holds `line`, or the first one after it, of the segments that begin at or
    /// after `start`.
    pub(in crate::store) fn span_of_line(
        &self,
        task: &str,
        start: Offset,
        line: LineNumber,
    ) -> Result<Option<SpanRow>, IndexError> {
        for found in self.spans.range((task, start.0)..=(task, u64::MAX))? {
            let (_, row) = found?;
            let span: SpanRow = decode(row.value()).ok_or_else(|| damaged(task))?;
            if span.end_line() > line {
                return Ok(Some(span));
            }
        }
        Ok(None)
    }

    /// The last span of `task` in the segments from `start` on, before `segment`.
    pub(in crate::store) fn span_before(
        &self,
        task: &str,
        start: Offset,
        segment: Offset,
    ) -> Result<Option<SpanRow>, IndexError> {
        if segment <= start {
            return Ok(None);
        }
        let mut range = self.spans.range((task, start.0)..(task, segment.0))?;
        let Some(found) = range.next_back().transpose()? else { return Ok(None) };
        decode(found.1.value()).map(Some).ok_or_else(|| damaged(task))
    }

    /// Up to `limit` workers of `task` after the first `skip`, by ordinal.
    pub(in crate::store) fn workers_from(
        &self,
        task: &str,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<WorkerRow>, IndexError> {
        let range = self.workers.range((task, 0)..=(task, u32::MAX))?;
        let rows = range.skip(skip).take(limit);
        rows.map(|found| Ok(WorkerRow::new(found?.1.value()))).collect()
    }

    /// One worker of `task`.
    pub(in crate::store) fn worker(
        &self,
        task: &str,
        worker: &str,
    ) -> Result<Option<WorkerRow>, IndexError> {
        let Some(ordinal) = self.ordinals.get((task, worker))? else { return Ok(None) };
        let found = self.workers.get((task, ordinal.value()))?;
        Ok(found.map(|found| WorkerRow::new(found.value())))
    }

    /// How many tasks have an entry at or after `start`, where those that have none are few.
    pub(in crate::store) fn count(&self, start: Offset) -> Result<usize, IndexError> {
        let gone = self.newest.range::<u64>(..start.0)?.count();
        Ok((self.tasks.len()? as usize).saturating_sub(gone))
    }

    /// Tasks whose last entry is after `after`, oldest first, until `visit` returns false.
    pub(in crate::store) fn oldest_after(
        &self,
        after: Offset,
        mut visit: impl FnMut(&str, Offset) -> Result<bool, IndexError>,
    ) -> Result<(), IndexError> {
        let range = (Bound::Excluded(after.0), Bound::Unbounded);
        for found in self.newest.range::<u64>(range)? {
            let (offset, task) = found?;
            if !visit(task.value(), Offset(offset.value()))? {
                break;
            }
        }
        Ok(())
    }

    /// Tasks whose last entry is before `before`, newest first, until `visit` returns false.
    pub(in crate::store) fn newest_before(
        &self,
        before: Offset,
        mut visit: impl FnMut(&str, Offset) -> Result<bool, IndexError>,
    ) -> Result<(), IndexError> {
        let range = (Bound::Unbounded, Bound::Excluded(before.0));
        for found in self.newest.range::<u64>(range)?.rev() {
            let (offset, task) = found?;
            if !visit(task.value(), Offset(offset.value()))? {
                break;
            }
        }
        Ok(())
    }
}
