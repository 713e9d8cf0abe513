//! Tasks that were deleted, as far as the task index does not know it.
//!
//! While a task is in here, what the index has of it does not count: all that came after the deletion
//! is in the catalog.

use crate::domain::{IdMap, Offset, TaskId};
use crate::store::format::Tombstone;

/// What an allocation and the like add to a row, in bytes; a cautious guess.
const ROW_COST_BYTES: usize = 64;

/// The last deletion of each task.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Deletions(IdMap<TaskId, Deletion>);

#[derive(Debug, Clone, Copy)]
struct Deletion {
    /// What the task had before this offset is deleted.
    end: Offset,
    /// The first offset of the segment that has the tombstone.
    segment: Offset,
}

impl Deletions {
    /// The end of what was deleted of `task`.
    pub(in crate::store) fn end_of(&self, task: &TaskId) -> Option<Offset> {
        self.0.get(task).map(|deletion| deletion.end)
    }

    /// The deleted tasks.
    pub(in crate::store) fn tasks(&self) -> impl Iterator<Item = &TaskId> {
        self.0.keys()
    }

    /// Notes a deletion; returns the bytes it added.
    pub(super) fn insert(&mut self, task: &TaskId, end: Offset, segment: Offset) -> usize {
        let known = self.0.insert(task.clone(), Deletion { end, segment });
        if known.is_none() { cost(task) } else { 0 }
    }

    /// What the footer of the segment that begins with `segment` is to say.
    pub(in crate::store) fn tombstones(&self, segment: Offset) -> Vec<Tombstone<'_>> {
        let of_segment = self.0.iter().filter(|(_, deletion)| deletion.segment == segment);
        of_segment
            .map(|(task, deletion)| Tombstone { task: task.as_str(), end: deletion.end })
            .collect()
    }

    /// Whether one stands in a segment that begins before `end`.
    pub(super) fn has_before(&self, end: Offset) -> bool {
        self.0.values().any(|deletion| deletion.segment < end)
    }

    /// Forgets those in segments that begin before `end`; returns the bytes it freed.
    pub(super) fn forget_before(&mut self, end: Offset) -> usize {
        let mut freed = 0;
        self.0.retain(|task, deletion| {
            let is_gone = deletion.segment < end;
            freed += usize::from(is_gone) * cost(task);
            !is_gone
        });
        freed
    }
}

/// About what a row takes, in bytes.
fn cost(task: &TaskId) -> usize {
    ROW_COST_BYTES + size_of::<(TaskId, Deletion)>() + task.as_str().len()
}
