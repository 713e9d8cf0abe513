//! The newest blocks of one scope.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::block_range::{BlockRange, RangeKey, RecentRanges};
use crate::domain::{Block, Offset};

/// The newest blocks of one task, or of all.
#[derive(Debug)]
pub struct LiveWindow {
    blocks: Mutex<Blocks>,
    /// Counts changes; readers compare nothing but "changed".
    changes: watch::Sender<u64>,
    ranges: Arc<RecentRanges>,
}

#[derive(Debug)]
struct Blocks {
    /// Every entry of the scope from here on is in `ring`.
    start_offset: Offset,
    ring: VecDeque<PagedBlock>,
    /// Payload bytes that were ever pushed.
    pushed_bytes: u64,
}

/// A block, and in which page of the window it begins: of [`RANGE_BYTES`] of payload each.
#[derive(Debug)]
struct PagedBlock {
    block: Arc<Block>,
    page: u64,
}

/// About how many payload bytes a range has at most. Large enough to make a read and a write
/// cheap, small enough that a slow reader holds little.
pub const RANGE_BYTES: usize = 256 * 1024;

/// What a window has at a cursor.
#[derive(Debug)]
pub enum Read {
    /// The cursor is below the start_offset: read the log.
    Behind,
    /// Nothing stands at or after the cursor.
    Nothing,
    /// What does.
    Blocks {
        /// Some of it; its first block may begin before the cursor.
        range: Arc<BlockRange>,
        /// Whether there is more after it.
        more: bool,
    },
}

impl LiveWindow {
    pub(super) fn new(start_offset: Offset, ranges: Arc<RecentRanges>) -> Self {
        let blocks = Blocks { start_offset, ring: VecDeque::new(), pushed_bytes: 0 };
        Self { blocks: Mutex::new(blocks), changes: watch::Sender::new(0), ranges }
    }

    fn lock(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, block: Arc<Block>) {
        let mut blocks = self.lock();
        let page = blocks.pushed_bytes / RANGE_BYTES as u64;
        blocks.pushed_bytes += block.payload.len() as u64;
        blocks.ring.push_back(PagedBlock { block, page });
    }

    pub(super) fn pop_front(&self) {
        let mut blocks = self.lock();
        if let Some(oldest) = blocks.ring.pop_front() {
            blocks.start_offset = oldest.block.end();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().ring.is_empty()
    }

    pub(super) fn wake(&self) {
        if self.changes.receiver_count() > 0 {
            self.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
        }
    }

    /// What changes a reader. Take it before reading, so that no wake falls between.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// What stands at or after `cursor`, to the end of the page at most: readers who came to
    /// different cursors meet at the next page and share its range.
    pub fn read(&self, cursor: Offset) -> Read {
        let blocks = self.lock();
        if cursor < blocks.start_offset {
            return Read::Behind;
        }
        let start = blocks.ring.partition_point(|paged| paged.block.end() <= cursor);
        let Some(first) = blocks.ring.get(start) else { return Read::Nothing };
        let end = blocks.ring.partition_point(|paged| paged.page <= first.page);
        let found = blocks.ring.range(start..end);
        let last = found.clone().next_back().unwrap_or(first);
        let place = RangeKey { base: first.block.base, end: last.block.end(), count: end - start };
        let more = end < blocks.ring.len();
        let take = || found.map(|paged| Arc::clone(&paged.block)).collect();
        let is_shared = self.changes.receiver_count() > 1;
        let range = if is_shared {
            self.ranges.share(place, take)
        } else {
            Arc::new(BlockRange::new(take()))
        };
        Read::Blocks { range, more }
    }
}
