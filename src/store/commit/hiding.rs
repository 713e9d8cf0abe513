//! Hiding what was kept, in commits without entries: a tombstone for each task that is deleted, trims for
//! tasks that have more bytes than they may.
//!
//! Trims are looked at with the other maintenance, about each second, so that a task that grows fast costs
//! the others no more than one commit a second.

use super::committer::Committer;
use super::queue::QueuedDeletion;
use super::segment_writer::{CommitHeader, SegmentWriter};
use crate::domain::{Offset, TaskId};
use crate::store::catalog::Task;
use crate::store::format::Trim;
use crate::store::log::{AppendError, DeleteError, ReadError, TaskEnd};
use crate::store::writing::WriteError;

impl Committer {
    pub(super) fn on_deletion(&mut self, deletion: QueuedDeletion) {
        let QueuedDeletion { tasks, done, queue_permits } = deletion;
        let deleted = self.delete(tasks);
        drop(queue_permits);
        let _nobody_waits = done.send(deleted);
    }

    /// Deletes those of `wanted` that still end where they ended; returns how many they were.
    fn delete(&mut self, wanted: Vec<TaskEnd>) -> Result<usize, DeleteError> {
        if let Some(reason) = self.shared.failed() {
            return Err(AppendError::Poisoned { reason }.into());
        }
        let mut tasks = Vec::with_capacity(wanted.len());
        for TaskEnd { task, last } in wanted {
            if self.last_of(&task)? == Some(last) {
                tasks.push(task);
            }
        }
        if tasks.is_empty() {
            return Ok(0);
        }
        self.check_memory()?;
        self.write_alone("a deletion", |segments, commit, tail| {
            segments.write_tombstones(commit, tail, &tasks)
        })?;
        self.publish_deletion(&tasks);
        Ok(tasks.len())
    }

    /// Makes a commit without entries. `what` names it when it fails for good.
    fn write_alone(
        &mut self,
        what: &'static str,
        mut write: impl FnMut(&mut dyn SegmentWriter, CommitHeader, Offset) -> Result<bool, WriteError>,
    ) -> Result<(), AppendError> {
        let is_commit = self.until_done(what, |committer| {
            let (number, time) = (committer.next_commit, committer.clock.now());
            let tail = committer.shared.catalog().tail;
            write(&mut *committer.segments, CommitHeader { number, time }, tail)
        })?;
        self.next_commit += u64::from(is_commit);
        Ok(())
    }

    fn publish_deletion(&self, tasks: &[TaskId]) {
        let mut catalog = self.shared.catalog_mut();
        tasks.iter().for_each(|task| catalog.delete(task));
        drop(catalog);
        self.shared.counters.note_deleted_tasks(tasks.len());
        (self.on_delete)(tasks);
    }

    /// The last entry that `task` has; `None` where there is no such task.
    fn last_of(&self, task: &TaskId) -> Result<Option<Offset>, ReadError> {
        let catalog = self.shared.catalog();
        let start = catalog.log_start_offset();
        if catalog.has_all_of(task) {
            return Ok(catalog.tasks.get(task).and_then(Task::last));
        }
        drop(catalog);
        let Some(index) = &self.shared.index else { return Ok(None) };
        let row = index.reader()?.row(task.as_str())?;
        Ok(row.map(|row| row.last).filter(|last| *last >= start))
    }

    /// A deletion is in memory until its segment is sealed, which takes an entry.
    fn check_memory(&self) -> Result<(), DeleteError> {
        let catalog = self.shared.catalog();
        let can_be_sealed = catalog.active_has_entries() || self.indexer.is_none();
        if can_be_sealed || catalog.bytes <= self.catalog_bytes {
            return Ok(());
        }
        Err(DeleteError::Full { bytes: catalog.bytes, limit: self.catalog_bytes })
    }

    /// Trims the tasks that have more than they may keep. What fails is tried again once they get another
    /// entry.
    pub(super) fn trim_tasks(&mut self) {
        let due = self.shared.catalog_mut().take_due_trims();
        if due.is_empty() {
            return;
        }
        let written = self.write_alone("a trim", |segments, commit, tail| {
            segments.write_trims(commit, tail, &due)
        });
        if written.is_ok() {
            due.iter().for_each(|(task, trim)| self.publish_trim(task, *trim));
        }
    }

    fn publish_trim(&self, task: &TaskId, trim: Trim) {
        let mut catalog = self.shared.catalog_mut();
        let known = catalog.tasks.get(task).and_then(|task| task.trim);
        let limit = catalog.task_bytes.unwrap_or_default();
        catalog.trim(task, trim);
        drop(catalog);
        if known.is_none() {
            let what =
                "a task has more bytes than --task-bytes: only its beginning and its end are kept";
            tracing::warn!(task = task.as_str(), limit, "{what}");
        }
        let lines = |trim: Trim| trim.end_line.0 - trim.first_line.0;
        let more = lines(trim) - known.map_or(0, lines);
        self.shared.counters.note_trim(known.is_none(), more);
    }
}
