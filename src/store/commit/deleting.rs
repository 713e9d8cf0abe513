//! Deleting tasks: a tombstone for each, in a commit of their own.

use super::committer::Committer;
use super::queue::QueuedDeletion;
use super::segment_writer::CommitHeader;
use crate::domain::{Offset, TaskId};
use crate::store::catalog::Task;
use crate::store::log::{AppendError, DeleteError, ReadError, TaskEnd};

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
        let is_commit = self.until_done("a deletion", |committer| {
            let (number, time) = (committer.next_commit, committer.clock.now());
            let tail = committer.shared.catalog().tail;
            committer.segments.write_tombstones(CommitHeader { number, time }, tail, &tasks)
        })?;
        self.next_commit += u64::from(is_commit);
        self.publish_deletion(&tasks);
        Ok(tasks.len())
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
}
