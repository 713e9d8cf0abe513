//! Which entries of any task were deleted, for scans in store order.

use std::sync::Arc;

use crate::domain::{Block, Gap, Offset, TaskId};
use crate::store::catalog::Deletions;
use crate::store::shared::StoreShared;
use crate::store::task_index::{IndexError, IndexReader};

/// The deletions that are known at one moment.
pub(super) struct KnownDeletions {
    /// Those that the index may lack.
    recent: Arc<Deletions>,
    /// `None` where the index knows of none.
    index: Option<IndexReader>,
}

impl KnownDeletions {
    /// # Errors
    /// When the task index cannot be read; this holds for all that follow.
    pub(super) fn now(shared: &StoreShared) -> Result<Self, IndexError> {
        // In this order: a deletion leaves the catalog once the index has it.
        let recent = Arc::clone(&shared.catalog().deletions);
        let Some(index) = &shared.index else { return Ok(Self { recent, index: None }) };
        let reader = index.reader()?;
        let has_some = reader.has_deletions()?;
        Ok(Self { recent, index: has_some.then_some(reader) })
    }

    /// Whether `block` was deleted.
    pub(super) fn have(&self, block: &Block) -> Result<bool, IndexError> {
        Ok(self.end_of(&block.task)?.is_some_and(|end| block.base < end))
    }

    fn end_of(&self, task: &TaskId) -> Result<Option<Offset>, IndexError> {
        let (None, Some(index)) = (self.recent.end_of(task), &self.index) else {
            return Ok(self.recent.end_of(task));
        };
        Ok(index.deletion(task.as_str())?.map(|deletion| deletion.end))
    }
}

/// The gap that deleted entries leave, from `from` up to but not with `end`.
pub(in crate::store) fn deleted_gap(from: Offset, end: Offset) -> Gap {
    Gap { from, to: Offset(end.0 - 1), lines: None, reason: Gap::DELETED }
}
