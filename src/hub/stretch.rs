//! Blocks that are read together.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;

use crate::domain::{Block, Offset};

/// What is derived from an entry is reckoned to have beside its payload.
const DERIVED_OVERHEAD_BYTES: usize = 80;

/// Consecutive blocks of one scope, at least one, shared by all who read at the same place.
#[derive(Debug)]
pub struct Stretch {
    blocks: Vec<Arc<Block>>,
    /// What [`Stretch::derived`] made, for the next reader.
    derived: OnceLock<Bytes>,
}

impl Stretch {
    /// A stretch of `blocks`, of which there is at least one.
    pub fn new(blocks: Vec<Arc<Block>>) -> Self {
        Self { blocks, derived: OnceLock::new() }
    }

    /// The blocks in order.
    pub fn blocks(&self) -> &[Arc<Block>] {
        &self.blocks
    }

    /// The offset after the last entry.
    pub fn end(&self) -> Offset {
        self.blocks.last().map_or(Offset::FIRST, |block| block.end())
    }

    /// The bytes that `derive` makes of all the blocks: made once, shared by all who read them.
    pub fn derived(&self, derive: impl FnOnce(&[Arc<Block>]) -> Bytes) -> Bytes {
        self.derived.get_or_init(|| derive(&self.blocks)).clone()
    }

    fn place(&self) -> Option<Place> {
        let base = self.blocks.first()?.base;
        Some(Place { base, end: self.end(), count: self.blocks.len() })
    }

    /// What it is reckoned to hold: the blocks, and what is derived from them.
    fn weight(&self) -> usize {
        let held = |block: &Arc<Block>| {
            let derived = block.payload.len() + DERIVED_OVERHEAD_BYTES * block.count as usize;
            super::weight(block) + derived
        };
        self.blocks.iter().map(held).sum()
    }
}

/// What names a stretch. Where a task's window and that of all tasks agree in it, they hold the
/// same blocks there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The first entry's offset.
    pub(super) base: Offset,
    /// The offset after the last entry.
    pub(super) end: Offset,
    /// How many blocks there are.
    pub(super) count: usize,
}

/// The stretches read last, in any window, for the next who reads at the same place.
#[derive(Debug)]
pub(super) struct Stretches {
    budget_bytes: usize,
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    /// Oldest first.
    ring: VecDeque<Arc<Stretch>>,
    bytes: usize,
}

impl Stretches {
    pub(super) fn new(budget_bytes: usize) -> Self {
        Self { budget_bytes, recent: Mutex::default() }
    }

    /// The stretch at `place`, as it is known or of the blocks that `take` gives.
    pub(super) fn share(
        &self,
        place: Place,
        take: impl FnOnce() -> Vec<Arc<Block>>,
    ) -> Arc<Stretch> {
        let mut recent = self.lock();
        let mut known = recent.ring.iter().rev();
        if let Some(stretch) = known.find(|stretch| stretch.place() == Some(place)) {
            return Arc::clone(stretch);
        }
        let stretch = Arc::new(Stretch::new(take()));
        recent.add(&stretch, self.budget_bytes);
        stretch
    }

    /// What the stretches are reckoned to hold.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    fn add(&mut self, stretch: &Arc<Stretch>, budget_bytes: usize) {
        self.ring.push_back(Arc::clone(stretch));
        self.bytes += stretch.weight();
        while self.bytes > budget_bytes
            && let Some(oldest) = self.ring.pop_front()
        {
            self.bytes -= oldest.weight();
        }
    }
}
