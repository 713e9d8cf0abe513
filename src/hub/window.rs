//! The newest blocks of one scope.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::domain::{Block, Offset};

/// The newest blocks of one task, or of all.
#[derive(Debug)]
pub struct Window {
    blocks: Mutex<Blocks>,
    /// Counts wakes; readers compare nothing but "changed".
    wakes: watch::Sender<u64>,
}

#[derive(Debug)]
struct Blocks {
    /// Every entry of the scope from here on is in `ring`.
    floor: Offset,
    ring: VecDeque<Arc<Block>>,
}

impl Window {
    pub(super) fn new(floor: Offset) -> Self {
        let blocks = Blocks { floor, ring: VecDeque::new() };
        Self { blocks: Mutex::new(blocks), wakes: watch::Sender::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin_at(&self, floor: Offset) {
        self.lock().floor = floor;
    }

    pub(super) fn push(&self, block: Arc<Block>) {
        self.lock().ring.push_back(block);
    }

    pub(super) fn pop_front(&self) {
        let mut blocks = self.lock();
        if let Some(block) = blocks.ring.pop_front() {
            blocks.floor = block.end();
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

    /// Blocks with entries at or after `cursor`, about `max_bytes` of them and at least one
    /// where there is one. `None` when `cursor` is below the floor: read the log.
    pub fn read(&self, cursor: Offset, max_bytes: usize) -> Option<Vec<Arc<Block>>> {
        let blocks = self.lock();
        if cursor < blocks.floor {
            return None;
        }
        let first = blocks.ring.partition_point(|block| block.end() <= cursor);
        let mut taken = Vec::new();
        let mut bytes = 0;
        for block in blocks.ring.range(first..) {
            taken.push(Arc::clone(block));
            bytes += block.payload.len();
            if bytes >= max_bytes {
                break;
            }
        }
        Some(taken)
    }
}
