//! What is known about tasks, without their logs: resident ones by the catalog, others by the task index.

use std::collections::HashSet;
use std::sync::Arc;

use crate::domain::{LineNumber, Offset, TaskId, TaskSummary, WorkerId, WorkerSummary};
use crate::store::catalog::{Task, Unindexed, Worker, kept_bytes};
use crate::store::format::Trim;
use crate::store::log::{ReadError, TaskPage, TaskQuery};
use crate::store::memory::MemoryReader;
use crate::store::shared::StoreShared;
use crate::store::task_index::{IndexError, IndexReader, SpanRow, TaskRow, WorkerRow};

/// How many workers a summary of one task names.
pub(in crate::store) const SUMMARY_WORKERS: usize = 100;

/// How many workers a summary in a list names.
const LISTED_WORKERS: usize = 10;

/// Reads what is known about tasks.
#[derive(Debug, Clone)]
pub(in crate::store) struct TaskReader {
    shared: Arc<StoreShared>,
    /// `None` where there are files.
    memory: Option<Arc<MemoryReader>>,
}

impl TaskReader {
    pub(in crate::store) fn new(
        shared: Arc<StoreShared>,
        memory: Option<Arc<MemoryReader>>,
    ) -> Self {
        Self { shared, memory }
    }

    /// `summary`, which in memory knows only of lines that left by retention.
    fn with_kept(&self, mut summary: TaskSummary) -> TaskSummary {
        if let Some(memory) = &self.memory {
            memory.note_kept(&mut summary);
        }
        summary
    }

    /// What is known about a resident task.
    pub(in crate::store) fn resident(&self, task: &TaskId) -> Option<TaskSummary> {
        let summary = self.shared.catalog().summary(task, SUMMARY_WORKERS);
        summary.map(|summary| self.with_kept(summary))
    }

    /// What is known about `task`.
    ///
    /// # Errors
    /// When the task index cannot be read; this holds for all that follow.
    pub(in crate::store) fn summary(
        &self,
        task: &TaskId,
    ) -> Result<Option<TaskSummary>, ReadError> {
        let summary = self.find(
            task,
            |resident| resident.summary(task.clone(), SUMMARY_WORKERS),
            |indexed| indexed.summary(task, SUMMARY_WORKERS),
        )?;
        Ok(summary.map(|summary| self.with_kept(summary)))
    }

    /// What is known about `task`: `resident` looks in the catalog, where it is there, else `indexed` in the
    /// task index.
    fn find<T>(
        &self,
        task: &TaskId,
        resident: impl FnOnce(&Task) -> Option<T>,
        indexed: impl FnOnce(&Indexed) -> Result<Option<T>, IndexError>,
    ) -> Result<Option<T>, ReadError> {
        let catalog = self.shared.catalog();
        if let Some(task) = catalog.tasks.get(task) {
            return Ok(resident(task));
        }
        let (start, is_deleted) = (catalog.log_start_offset(), catalog.has_all_of(task));
        let trims = Arc::clone(&catalog.trims);
        drop(catalog);
        let Some(index) = self.shared.index.as_ref().filter(|_| !is_deleted) else {
            return Ok(None);
        };
        Ok(indexed(&Indexed { reader: index.reader()?, start, trims })?)
    }

    /// Up to `limit` workers of `task` after the first `skip`, in the order in which they appeared.
    pub(in crate::store) fn workers(
        &self,
        task: &TaskId,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<WorkerSummary>, ReadError> {
        let workers = self.find(
            task,
            |resident| Some(resident.workers.page(skip, limit)),
            |indexed| indexed.workers(task, skip, limit).map(Some),
        )?;
        Ok(workers.unwrap_or_default())
    }

    /// One worker of `task`.
    pub(in crate::store) fn worker(
        &self,
        task: &TaskId,
        worker: &WorkerId,
    ) -> Result<Option<WorkerSummary>, ReadError> {
        self.find(
            task,
            |resident| resident.workers.summary(worker.as_str()),
            |indexed| {
                let row = indexed.reader.worker(task.as_str(), worker.as_str())?;
                Ok(row.as_ref().and_then(worker_summary))
            },
        )
    }

    /// A page of tasks, the one with the newest entry first.
    pub(in crate::store) fn page(&self, query: &TaskQuery) -> Result<TaskPage, ReadError> {
        let before = query.before.unwrap_or(Offset(u64::MAX));
        let mut page = Page { query, tasks: Vec::new(), scanned: 0, last: before, is_cut: false };
        let Residents { summaries, start, tail, deletions, trims } =
            self.residents_before(before, query);
        for summary in summaries {
            if !page.has_budget() {
                return Ok(page.finish());
            }
            page.push(self.with_kept(summary));
        }
        let Some(index) = &self.shared.index else { return Ok(page.finish()) };
        let indexed = Indexed { reader: index.reader()?, start, trims };
        indexed.reader.newest_before(before, |task, last| {
            if !page.has_budget() {
                return Ok(false);
            }
            page.scan(last);
            let Ok(task) = TaskId::new(task) else { return Ok(true) };
            let is_gone = deletions.of(&task).is_some() || self.is_newer(&task, tail);
            if page.query.wants(&task) && !page.has(&task) && !is_gone {
                page.tasks.extend(indexed.summary(&task, LISTED_WORKERS)?);
            }
            Ok(true)
        })?;
        Ok(page.finish())
    }

    /// Up to `limit` tasks whose last entry comes after `after`, the one with the oldest first. Those
    /// that only the index has come first: the others have an entry that it lacks.
    pub(in crate::store) fn oldest(
        &self,
        after: Offset,
        limit: usize,
    ) -> Result<TaskPage, ReadError> {
        let mut page = TaskPage::default();
        if let Some(index) = &self.shared.index {
            let catalog = self.shared.catalog();
            let (start, trims) = (catalog.log_start_offset(), Arc::clone(&catalog.trims));
            drop(catalog);
            let indexed = Indexed { reader: index.reader()?, start, trims };
            indexed.reader.oldest_after(after, |task, last| {
                let is_full = page.tasks.len() == limit;
                let Some(task) = TaskId::new(task).ok().filter(|_| !is_full) else {
                    return Ok(!is_full);
                };
                page.next = Some(last);
                if !self.shared.catalog().has_all_of(&task) {
                    page.tasks.extend(indexed.summary(&task, LISTED_WORKERS)?);
                }
                Ok(true)
            })?;
        }
        let left = limit - page.tasks.len();
        page.tasks.extend(self.oldest_residents(after, left));
        page.next =
            page.tasks.last().map(|last| last.last_offset).filter(|_| page.tasks.len() == limit);
        Ok(page)
    }

    /// Up to `limit` resident tasks whose last entry comes after `after`, oldest first.
    fn oldest_residents(&self, after: Offset, limit: usize) -> Vec<TaskSummary> {
        let catalog = self.shared.catalog();
        let oldest = catalog.tasks.oldest_after(after).take(limit);
        let summaries = oldest.filter_map(|(_, id)| catalog.summary(id, LISTED_WORKERS));
        let summaries: Vec<_> = summaries.collect();
        // `with_kept` takes the catalog's lock itself.
        drop(catalog);
        summaries.into_iter().map(|summary| self.with_kept(summary)).collect()
    }

    /// How many tasks there are.
    pub(in crate::store) fn count(&self) -> Result<usize, ReadError> {
        let catalog = self.shared.catalog();
        let start = catalog.log_start_offset();
        let residents: HashSet<_> = catalog.tasks.iter().map(|(id, _)| id.clone()).collect();
        let deletions = Arc::clone(&catalog.deletions);
        drop(catalog);
        let Some(index) = &self.shared.index else { return Ok(residents.len()) };
        let reader = index.reader()?;
        let deleted = deletions.tasks().filter(|task| !residents.contains(*task));
        let mut in_both = 0;
        for task in residents.iter().chain(deleted) {
            in_both += usize::from(reader.row(task.as_str())?.is_some());
        }
        Ok(residents.len() + reader.count(start)?.saturating_sub(in_both))
    }

    /// Whether the catalog had more of `task` than the index when the tail was `tail`.
    fn is_newer(&self, task: &TaskId, tail: Offset) -> bool {
        let catalog = self.shared.catalog();
        catalog.tasks.get(task).and_then(Task::last).is_some_and(|last| last < tail)
    }

    /// The resident tasks whose last entry is before `before`, newest first, as many as a page may
    /// need.
    fn residents_before(&self, before: Offset, query: &TaskQuery) -> Residents {
        let catalog = self.shared.catalog();
        let newest = catalog.tasks.newest_before(before).filter(|(_, id)| query.wants(id));
        // One more than fits tells that there is more.
        let newest = newest.take(query.limit + 1);
        let summaries = newest.filter_map(|(_, id)| catalog.summary(id, LISTED_WORKERS));
        Residents {
            summaries: summaries.collect(),
            start: catalog.log_start_offset(),
            tail: catalog.tail,
            deletions: Arc::clone(&catalog.deletions),
            trims: Arc::clone(&catalog.trims),
        }
    }
}

/// Resident tasks, and the catalog's ends when they were looked up.
struct Residents {
    summaries: Vec<TaskSummary>,
    start: Offset,
    tail: Offset,
    deletions: Arc<Unindexed<Offset>>,
    trims: Arc<Unindexed<Trim>>,
}

/// The page under way.
struct Page<'a> {
    query: &'a TaskQuery,
    tasks: Vec<TaskSummary>,
    scanned: usize,
    /// The last entry of the last task that was looked at.
    last: Offset,
    /// Whether there was no room for more.
    is_cut: bool,
}

impl Page<'_> {
    fn has_budget(&mut self) -> bool {
        let has_budget =
            self.tasks.len() < self.query.limit && self.scanned < self.query.max_scanned;
        self.is_cut |= !has_budget;
        has_budget
    }

    fn has(&self, task: &TaskId) -> bool {
        self.tasks.iter().any(|summary| summary.task == *task)
    }

    fn scan(&mut self, last: Offset) {
        self.scanned += 1;
        self.last = last;
    }

    fn push(&mut self, summary: TaskSummary) {
        self.scan(summary.last_offset);
        self.tasks.push(summary);
    }

    fn finish(self) -> TaskPage {
        TaskPage { tasks: self.tasks, next: self.is_cut.then_some(self.last) }
    }
}

/// The index, of which nothing before `start` is kept any more.
struct Indexed {
    reader: IndexReader,
    start: Offset,
    /// Trims that it may lack.
    trims: Arc<Unindexed<Trim>>,
}

impl Indexed {
    /// `None` where nothing of the task is kept.
    fn summary(&self, task: &TaskId, workers: usize) -> Result<Option<TaskSummary>, IndexError> {
        let id = task.as_str();
        let Some(row) = self.reader.row(id)? else { return Ok(None) };
        let spans = self.reader.spans_from(id, self.start, usize::MAX)?;
        let workers = self.workers(task, 0, workers)?;
        let trim = match self.trims.of(task) {
            Some(trim) => Some(trim),
            None => self.reader.trim(id)?,
        };
        Ok(summary(task, (&row, trim), &spans, workers))
    }

    fn workers(
        &self,
        task: &TaskId,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<WorkerSummary>, IndexError> {
        let rows = self.reader.workers_from(task.as_str(), skip, limit)?;
        Ok(rows.iter().filter_map(worker_summary).collect())
    }
}

fn summary(
    task: &TaskId,
    (row, trim): (&TaskRow, Option<Trim>),
    spans: &[SpanRow],
    workers: Vec<WorkerSummary>,
) -> Option<TaskSummary> {
    let (first, last) = (spans.first()?, spans.last()?);
    let LineNumber(end_line) = last.end_line();
    Some(TaskSummary {
        task: task.clone(),
        first_offset: first.first,
        last_offset: last.last,
        first_line: first.first_line.0,
        last_line: end_line - 1,
        bytes: kept_bytes(spans.iter().map(|span| span.bytes).sum(), trim),
        lost_lines: row.lost_lines,
        trimmed_lines: trim.map_or(0, |trim| trim.lines_from(first.first_line)),
        first_time_ms: first.first_time.0,
        last_time_ms: last.last_time.0,
        last_commit: None,
        told_end: row.told_end,
        worker_counts: row.counts,
        workers,
    })
}

fn worker_summary(row: &WorkerRow) -> Option<WorkerSummary> {
    let (record, facts) = row.read()?;
    Worker::of_record(&record, &facts).map(|worker| worker.summary())
}
