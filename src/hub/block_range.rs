//! Blocks that are read together, shared by all who read at the same place.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;

use super::block_bytes::budgeted_bytes;
use crate::domain::{Block, Offset, TaskId};

/// About how many bytes rendering adds to an entry's payload.
const RENDERED_OVERHEAD_BYTES: usize = 80;

/// Consecutive blocks of one scope, at least one, shared by all who read at the same place.
#[derive(Debug)]
pub struct BlockRange {
    blocks: Vec<Arc<Block>>,
    /// What [`BlockRange::rendered`] returned first.
    rendered: OnceLock<Bytes>,
}

impl BlockRange {
    /// A range of `blocks`, of which there is at least one.
    pub fn new(blocks: Vec<Arc<Block>>) -> Self {
        Self { blocks, rendered: OnceLock::new() }
    }

    /// The blocks in order.
    pub fn blocks(&self) -> &[Arc<Block>] {
        &self.blocks
    }

    /// The offset after the last entry.
    pub fn end(&self) -> Offset {
        self.blocks.last().map_or(Offset::FIRST, |block| block.end())
    }

    /// The bytes that `render` makes of all the blocks, made by the first reader who asks and
    /// shared by the others.
    pub fn rendered(&self, render: impl FnOnce(&[Arc<Block>]) -> Bytes) -> Bytes {
        self.rendered.get_or_init(|| render(&self.blocks)).clone()
    }

    /// What [`BlockRange::rendered`] returned first, if it was called.
    pub fn known_rendered(&self) -> Option<Bytes> {
        self.rendered.get().cloned()
    }

    fn key(&self) -> Option<RangeKey> {
        let base = self.blocks.first()?.base;
        Some(RangeKey { base, end: self.end(), count: self.blocks.len() })
    }

    /// Bytes that it counts for: the blocks, and what is rendered from them.
    fn budgeted_bytes(&self) -> usize {
        let bytes = |block: &Arc<Block>| {
            let rendered = block.payload.len() + RENDERED_OVERHEAD_BYTES * block.count as usize;
            budgeted_bytes(block) + rendered
        };
        self.blocks.iter().map(bytes).sum()
    }
}

/// Identifies a range. Ranges with the same key hold the same blocks, in a task's window and in
/// that of all tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RangeKey {
    /// The first entry's offset.
    pub(super) base: Offset,
    /// The offset after the last entry.
    pub(super) end: Offset,
    /// How many blocks there are.
    pub(super) count: usize,
}

/// The ranges read last in any window, for the next reader at the same place.
#[derive(Debug)]
pub(super) struct RecentRanges {
    budget_bytes: usize,
    recent: Mutex<RecentRing>,
}

#[derive(Debug, Default)]
struct RecentRing {
    /// Oldest first.
    ring: VecDeque<Arc<BlockRange>>,
    bytes: usize,
}

impl RecentRanges {
    pub(super) fn new(budget_bytes: usize) -> Self {
        Self { budget_bytes, recent: Mutex::default() }
    }

    /// The range of `key`: the one read lately, or else a new one of the blocks that `take` gives.
    pub(super) fn share(
        &self,
        key: RangeKey,
        take: impl FnOnce() -> Vec<Arc<Block>>,
    ) -> Arc<BlockRange> {
        let mut recent = self.lock();
        let mut known = recent.ring.iter().rev();
        if let Some(range) = known.find(|range| range.key() == Some(key)) {
            return Arc::clone(range);
        }
        let range = Arc::new(BlockRange::new(take()));
        recent.add(&range, self.budget_bytes);
        range
    }

    /// Forgets the ranges that have a block of one of `tasks`.
    pub(super) fn forget(&self, tasks: &HashSet<&TaskId>) {
        let mut recent = self.lock();
        let RecentRing { ring, bytes } = &mut *recent;
        ring.retain(|range| {
            let is_gone = range.blocks.iter().any(|block| tasks.contains(&block.task));
            *bytes -= if is_gone { range.budgeted_bytes() } else { 0 };
            !is_gone
        });
    }

    /// Bytes that the ranges count for.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, RecentRing> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecentRing {
    fn add(&mut self, range: &Arc<BlockRange>, budget_bytes: usize) {
        self.ring.push_back(Arc::clone(range));
        self.bytes += range.budgeted_bytes();
        while self.bytes > budget_bytes
            && let Some(oldest) = self.ring.pop_front()
        {
            self.bytes -= oldest.budgeted_bytes();
        }
    }
}
