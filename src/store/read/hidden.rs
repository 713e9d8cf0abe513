//! Which entries of any task are hidden, for scans in store order: their task was deleted, or the limit on
//! its bytes has taken them.

use std::sync::Arc;

use crate::domain::{Block, Gap, Offset, TaskId};
use crate::store::catalog::Unindexed;
use crate::store::format::Trim;
use crate::store::shared::StoreShared;
use crate::store::task_index::{IndexError, IndexReader};

/// What is known to be hidden at one moment.
pub(super) struct Hidden {
    /// What the index may lack.
    deletions: Arc<Unindexed<Offset>>,
    trims: Arc<Unindexed<Trim>>,
    /// `None` where the index knows of nothing.
    index: Option<IndexReader>,
}

impl Hidden {
    /// # Errors
    /// When the task index cannot be read; this holds for all that follow.
    pub(super) fn now(shared: &StoreShared) -> Result<Self, IndexError> {
        // In this order: a fact leaves the catalog once the index has it.
        let catalog = shared.catalog();
        let (deletions, trims) = (Arc::clone(&catalog.deletions), Arc::clone(&catalog.trims));
        drop(catalog);
        let reader = shared.index.as_ref().map(|index| index.reader()).transpose()?;
        let index = match reader {
            Some(reader) if reader.has_hidden()? => Some(reader),
            _ => None,
        };
        Ok(Self { deletions, trims, index })
    }

    /// What a reader at `next` misses where `block` is hidden.
    pub(super) fn gap(&self, next: Offset, block: &Block) -> Result<Option<Gap>, IndexError> {
        let (base, end) = (block.base, block.end());
        if self.deleted_to(&block.task)?.is_some_and(|deleted_to| base < deleted_to) {
            return Ok(Some(deleted_gap(next, end)));
        }
        let trim = self.trim(&block.task)?.filter(|trim| trim.hides(base));
        let (to, lines) = (Offset(end.0 - 1), Some(u64::from(block.lines)));
        Ok(trim.map(|_| Gap { from: next, to, lines, reason: Gap::TASK_LIMIT }))
    }

    fn deleted_to(&self, task: &TaskId) -> Result<Option<Offset>, IndexError> {
        let (None, Some(index)) = (self.deletions.of(task), &self.index) else {
            return Ok(self.deletions.of(task));
        };
        Ok(index.deletion(task.as_str())?.map(|deletion| deletion.end))
    }

    fn trim(&self, task: &TaskId) -> Result<Option<Trim>, IndexError> {
        match (self.trims.of(task), &self.index) {
            (None, Some(index)) => index.trim(task.as_str()),
            (known, _) => Ok(known),
        }
    }
}

/// The gap that deleted entries leave, from `from` up to but not with `end`.
pub(in crate::store) fn deleted_gap(from: Offset, end: Offset) -> Gap {
    Gap { from, to: Offset(end.0 - 1), lines: None, reason: Gap::DELETED }
}
