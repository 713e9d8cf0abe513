//! The window of one scope: its newest blocks, and a way to wait for more.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::block_range::{BlockRange, RangeKey, RecentRanges};
use crate::domain::{Block, Offset};

/// The newest blocks of one task, or of all.
#[derive(Debug)]
pub struct LiveWindow {
    blocks: Mutex<WindowBlocks>,
    /// A count that readers only watch for a change.
    changes: watch::Sender<u64>,
    ranges: Arc<RecentRanges>,
}

#[derive(Debug)]
struct WindowBlocks {
    /// Every entry of the scope from here on is in `ring`.
    start_offset: Offset,
    ring: VecDeque<PagedBlock>,
    /// Payload bytes of all blocks so far, with those that were evicted.
    pushed_bytes: u64,
    /// How often the task was deleted.
    deletions: u64,
}

/// A block, and the page of the window that it begins in. A page has [`RANGE_BYTES`] of payload.
#[derive(Debug)]
struct PagedBlock {
    block: Arc<Block>,
    page: u64,
}

/// About how many payload bytes a range has at most: enough to make a read and a write cheap, few
/// enough that a slow reader holds little.
pub const RANGE_BYTES: usize = 256 * 1024;

/// What a window has from a cursor on.
#[derive(Debug)]
pub enum WindowRead {
    /// The cursor is before the start offset: read the log.
    Behind,
    /// No entry is at or after the cursor.
    Nothing,
    /// There are entries.
    Blocks {
        /// The first of them; its first block may begin before the cursor.
        range: Arc<BlockRange>,
        /// Whether there is more after it.
        more: bool,
    },
}

impl LiveWindow {
    pub(super) fn new(start_offset: Offset, ranges: Arc<RecentRanges>) -> Self {
        let (ring, pushed_bytes, deletions) = (VecDeque::new(), 0, 0);
        let blocks = WindowBlocks { start_offset, ring, pushed_bytes, deletions };
        Self { blocks: Mutex::new(blocks), changes: watch::Sender::new(0), ranges }
    }

    fn lock(&self) -> MutexGuard<'_, WindowBlocks> {
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

    pub(super) fn note_deletion(&self) {
        self.lock().deletions += 1;
    }

    /// How often the task was deleted while the window was there.
    pub(super) fn deletions(&self) -> u64 {
        self.lock().deletions
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().ring.is_empty()
    }

    pub(super) fn wake(&self) {
        if self.changes.receiver_count() > 0 {
            self.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
        }
    }

    /// Changes when there is something new to read or to check. Take it before reading, so that
    /// no change in between is missed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Entries from `cursor` on, up to the end of its page: readers at different cursors meet at the
    /// next page and share its range from there on.
    pub fn read(&self, cursor: Offset) -> WindowRead {
        let blocks = self.lock();
        if cursor < blocks.start_offset {
            return WindowRead::Behind;
        }
        let start = blocks.ring.partition_point(|paged| paged.block.end() <= cursor);
        let Some(first) = blocks.ring.get(start) else { return WindowRead::Nothing };
        let end = blocks.ring.partition_point(|paged| paged.page <= first.page);
        let found = blocks.ring.range(start..end);
        let last = found.clone().next_back().unwrap_or(first);
        let key = RangeKey { base: first.block.base, end: last.block.end(), count: end - start };
        let more = end < blocks.ring.len();
        let take = || found.map(|paged| Arc::clone(&paged.block)).collect();
        let is_shared = self.changes.receiver_count() > 1;
        let range = if is_shared {
            self.ranges.share(key, take)
        } else {
            Arc::new(BlockRange::new(take()))
        };
        WindowRead::Blocks { range, more }
    }
}
