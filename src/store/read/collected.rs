//! What a read has collected, and when it has enough.

use std::sync::Arc;

use super::deleted::deleted_gap;
use crate::domain::{Block, Gap, Offset};

/// Deleted blocks count for this part of their bytes: one gap tells of many.
const SKIPPED_BYTES_DIVISOR: usize = 64;

/// What a read has collected.
pub(super) struct CollectedBlocks {
    /// What is gone before `blocks`.
    pub(super) gap: Option<Gap>,
    /// The gap of deleted entries before `blocks`, where there is no other.
    pub(super) deleted: Option<Gap>,
    pub(super) blocks: Vec<Arc<Block>>,
    bytes: usize,
    pub(super) max_bytes: usize,
    pub(super) next: Offset,
    /// Whether the next gap comes behind what is collected.
    pub(super) is_cut: bool,
}

impl CollectedBlocks {
    pub(super) fn new(next: Offset, max_bytes: usize) -> Self {
        let (blocks, bytes) = (Vec::new(), 0);
        Self { gap: None, deleted: None, blocks, bytes, max_bytes, next, is_cut: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.deleted.is_none()
    }

    pub(super) fn is_full(&self) -> bool {
        self.is_cut || (!self.is_empty() && self.bytes >= self.max_bytes)
    }

    /// Takes a deleted block into the gap, unless something else comes before it.
    pub(super) fn skip(&mut self, block: &Block) {
        if !self.blocks.is_empty() || self.gap.is_some() {
            let after_gap = self.gap.map_or(self.next, |gap| gap.to.next());
            (self.is_cut, self.next) = (true, self.next.max(after_gap));
            return;
        }
        self.bytes += block.payload.len() / SKIPPED_BYTES_DIVISOR + 1;
        let from = self.deleted.map_or(self.next, |gap| gap.from);
        self.deleted = Some(deleted_gap(from, block.end()));
        self.next = block.end();
    }

    pub(super) fn push(&mut self, block: Block) {
        self.bytes += block.payload.len();
        self.next = block.end();
        self.blocks.push(Arc::new(block));
    }
}
