//! Blocks that are read together.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;

use crate::domain::{Block, Offset};

/// What is rendered from an entry is reckoned to have beside its payload.
const RENDERED_OVERHEAD_BYTES: usize = 80;

/// Consecutive blocks of one scope, at least one, shared by all who read at the same place.
#[derive(Debug)]
pub struct BlockRange {
    blocks: Vec<Arc<Block>>,
    /// What [`BlockRange::rendered`] made, for the next reader.
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

    /// The bytes that `render` makes of all the blocks: made once, shared by all who read them.
    pub fn rendered(&self, render: impl FnOnce(&[Arc<Block>]) -> Bytes) -> Bytes {
        self.rendered.get_or_init(|| render(&self.blocks)).clone()
    }

    fn place(&self) -> Option<RangeKey> {
        let base = self.blocks.first()?.base;
        Some(RangeKey { base, end: self.end(), count: self.blocks.len() })
    }

    /// What it is reckoned to hold: the blocks, and what is rendered from them.
    fn weight(&self) -> usize {
        let held = |block: &Arc<Block>| {
            let rendered = block.payload.len() + RENDERED_OVERHEAD_BYTES * block.count as usize;
            super::weight(block) + rendered
        };
        self.blocks.iter().map(held).sum()
    }
}

/// What names a range. Where a task's window and that of all tasks agree in it, they hold the
/// same blocks there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RangeKey {
    /// The first entry's offset.
    pub(super) base: Offset,
    /// The offset after the last entry.
    pub(super) end: Offset,
    /// How many blocks there are.
    pub(super) count: usize,
}

/// The ranges read last, in any window, for the next who reads at the same place.
#[derive(Debug)]
pub(super) struct RecentRanges {
    budget_bytes: usize,
    recent: Mutex<RecentState>,
}

#[derive(Debug, Default)]
struct RecentState {
    /// Oldest first.
    ring: VecDeque<Arc<BlockRange>>,
    bytes: usize,
}

impl RecentRanges {
    pub(super) fn new(budget_bytes: usize) -> Self {
        Self { budget_bytes, recent: Mutex::default() }
    }

    /// The range at `place`, as it is known or of the blocks that `take` gives.
    pub(super) fn share(
        &self,
        place: RangeKey,
        take: impl FnOnce() -> Vec<Arc<Block>>,
    ) -> Arc<BlockRange> {
        let mut recent = self.lock();
        let mut known = recent.ring.iter().rev();
        if let Some(range) = known.find(|range| range.place() == Some(place)) {
            return Arc::clone(range);
        }
        let range = Arc::new(BlockRange::new(take()));
        recent.add(&range, self.budget_bytes);
        range
    }

    /// What the ranges are reckoned to hold.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, RecentState> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecentState {
    fn add(&mut self, range: &Arc<BlockRange>, budget_bytes: usize) {
        self.ring.push_back(Arc::clone(range));
        self.bytes += range.weight();
        while self.bytes > budget_bytes
            && let Some(oldest) = self.ring.pop_front()
        {
            self.bytes -= oldest.weight();
        }
    }
}
