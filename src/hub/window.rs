//! The newest blocks of one scope.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::stretch::{Place, Stretch, Stretches};
use crate::domain::{Block, Offset};

/// The newest blocks of one task, or of all.
#[derive(Debug)]
pub struct Window {
    blocks: Mutex<Blocks>,
    /// Counts wakes; readers compare nothing but "changed".
    wakes: watch::Sender<u64>,
    stretches: Arc<Stretches>,
}

#[derive(Debug)]
struct Blocks {
    /// Every entry of the scope from here on is in `ring`.
    floor: Offset,
    ring: VecDeque<Placed>,
    /// Payload bytes that were ever pushed.
    pushed_bytes: u64,
}

/// A block, and in which page of the window it begins: of [`STRETCH_BYTES`] of payload each.
#[derive(Debug)]
struct Placed {
    block: Arc<Block>,
    page: u64,
}

/// About how many payload bytes a stretch has at most. Large enough to make a read and a write
/// cheap, small enough that a slow reader holds little.
pub const STRETCH_BYTES: usize = 256 * 1024;

/// What a window has at a cursor.
#[derive(Debug)]
pub enum Read {
    /// The cursor is below the floor: read the log.
    Behind,
    /// Nothing stands at or after the cursor.
    Nothing,
    /// What does.
    Blocks {
        /// Some of it; its first block may begin before the cursor.
        stretch: Arc<Stretch>,
        /// Whether there is more after it.
        more: bool,
    },
}

impl Window {
    pub(super) fn new(floor: Offset, stretches: Arc<Stretches>) -> Self {
        let blocks = Blocks { floor, ring: VecDeque::new(), pushed_bytes: 0 };
        Self { blocks: Mutex::new(blocks), wakes: watch::Sender::new(0), stretches }
    }

    fn lock(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin_at(&self, floor: Offset) {
        self.lock().floor = floor;
    }

    pub(super) fn push(&self, block: Arc<Block>) {
        let mut blocks = self.lock();
        let page = blocks.pushed_bytes / STRETCH_BYTES as u64;
        blocks.pushed_bytes += block.payload.len() as u64;
        blocks.ring.push_back(Placed { block, page });
    }

    pub(super) fn pop_front(&self) {
        let mut blocks = self.lock();
        if let Some(oldest) = blocks.ring.pop_front() {
            blocks.floor = oldest.block.end();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().ring.is_empty()
    }

    pub(super) fn wake(&self) {
        if self.wakes.receiver_count() > 0 {
            self.wakes.send_modify(|wakes| *wakes = wakes.wrapping_add(1));
        }
    }

    /// What wakes a reader. Take it before reading, so that no wake falls between.
    pub fn wakes(&self) -> watch::Receiver<u64> {
        self.wakes.subscribe()
    }

    /// What stands at or after `cursor`, to the end of the page at most: readers who came to
    /// different cursors meet at the next page and share its stretch.
    pub fn read(&self, cursor: Offset) -> Read {
        let blocks = self.lock();
        if cursor < blocks.floor {
            return Read::Behind;
        }
        let start = blocks.ring.partition_point(|placed| placed.block.end() <= cursor);
        let Some(first) = blocks.ring.get(start) else { return Read::Nothing };
        let end = blocks.ring.partition_point(|placed| placed.page <= first.page);
        let found = blocks.ring.range(start..end);
        let last = found.clone().next_back().unwrap_or(first);
        let place = Place { base: first.block.base, end: last.block.end(), count: end - start };
        let more = end < blocks.ring.len();
        let take = || found.map(|placed| Arc::clone(&placed.block)).collect();
        let is_shared = self.wakes.receiver_count() > 1;
        let stretch = if is_shared {
            self.stretches.share(place, take)
        } else {
            Arc::new(Stretch::new(take()))
        };
        Read::Blocks { stretch, more }
    }
}
