//! The newest blocks of all tasks, within one byte budget; the oldest goes first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::domain::{Block, IdMap, Offset, TaskId};
use crate::store::locks::unpoisoned;

/// About how many bytes a block costs beside its payload.
const BLOCK_OVERHEAD_BYTES: usize = 256;

/// The newest blocks. The committer adds to them, readers read.
#[derive(Debug)]
pub(in crate::store) struct MemoryBlocks {
    budget_bytes: usize,
    kept: Mutex<KeptBlocks>,
}

/// What is kept now. It may be ahead of the catalog's tail by the commit that is being made.
#[derive(Debug)]
pub(super) struct KeptBlocks {
    /// All blocks in store order; entries that are missing between two of them were deleted.
    pub(super) ring: VecDeque<Arc<Block>>,
    /// The same by task; only tasks that have some.
    pub(super) tasks: IdMap<TaskId, VecDeque<TaskBlock>>,
    /// Every entry from here on is kept.
    pub(super) start: Offset,
    bytes: usize,
}

/// A block of one task.
#[derive(Debug)]
pub(super) struct TaskBlock {
    pub(super) block: Arc<Block>,
    /// The task's entry before it, kept or not.
    pub(super) previous: Option<Offset>,
}

impl MemoryBlocks {
    pub(in crate::store) fn new(budget_bytes: usize) -> Self {
        let (ring, tasks) = (VecDeque::new(), IdMap::default());
        let kept = KeptBlocks { ring, tasks, start: Offset::FIRST, bytes: 0 };
        Self { budget_bytes, kept: Mutex::new(kept) }
    }

    /// Keeps `block`, whose task's entry before it is `previous`.
    pub(in crate::store) fn push(&self, block: &Arc<Block>, previous: Option<Offset>) {
        let mut kept = self.lock();
        kept.bytes += cost(block);
        kept.ring.push_back(Arc::clone(block));
        let of_task = kept.tasks.entry(block.task.clone()).or_default();
        of_task.push_back(TaskBlock { block: Arc::clone(block), previous });
        while kept.bytes > self.budget_bytes && kept.ring.len() > 1 {
            kept.drop_oldest();
        }
    }

    /// Drops the blocks that end at `end` or before.
    pub(in crate::store) fn drop_before(&self, end: Offset) {
        let mut kept = self.lock();
        while kept.ring.front().is_some_and(|block| block.end() <= end) {
            kept.drop_oldest();
        }
    }

    /// Forgets all blocks of `task`. Where they were, the offsets in the ring have a hole.
    pub(in crate::store) fn forget(&self, task: &TaskId) {
        let mut kept = self.lock();
        let Some(forgotten) = kept.tasks.remove(task) else { return };
        kept.bytes -= forgotten.iter().map(|forgotten| cost(&forgotten.block)).sum::<usize>();
        kept.ring.retain(|block| block.task != *task);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, KeptBlocks> {
        unpoisoned(self.kept.lock())
    }
}

impl KeptBlocks {
    fn drop_oldest(&mut self) {
        let Some(block) = self.ring.pop_front() else { return };
        self.bytes -= cost(&block);
        self.start = block.end();
        if let Some(of_task) = self.tasks.get_mut(&block.task) {
            of_task.pop_front();
            if of_task.is_empty() {
                self.tasks.remove(&block.task);
            }
        }
    }
}

fn cost(block: &Block) -> usize {
    block.payload.len() + BLOCK_OVERHEAD_BYTES
}
