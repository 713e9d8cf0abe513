//! What a read has collected: what is missing first, then blocks.

use std::sync::Arc;

use crate::domain::{Block, Gap, Offset};
use crate::store::log::Read;

/// Hidden blocks count for this part of their bytes: one gap tells of many.
const SKIPPED_BYTES_DIVISOR: usize = 64;

/// What a read has collected.
pub(super) struct CollectedBlocks {
    /// What is missing before `blocks`.
    gap: Option<Gap>,
    blocks: Vec<Arc<Block>>,
    bytes: usize,
    pub(super) max_bytes: usize,
    /// Where the read goes on.
    pub(super) next: Offset,
    /// A gap comes behind what is collected: it comes with the next read.
    is_stopped: bool,
}

impl CollectedBlocks {
    pub(super) fn new(from: Offset, max_bytes: usize) -> Self {
        let (blocks, max_bytes) = (Vec::new(), max_bytes.max(1));
        Self { gap: None, blocks, bytes: 0, max_bytes, next: from, is_stopped: false }
    }

    pub(super) fn is_full(&self) -> bool {
        self.is_stopped || self.bytes >= self.max_bytes
    }

    /// Whether the read has come further than `before`, or has to stop where it is.
    pub(super) fn has_moved(&self, before: Offset) -> bool {
        self.is_stopped || self.next > before
    }

    pub(super) fn push(&mut self, block: Block) {
        self.bytes += block.payload.len().max(1);
        self.next = block.end();
        self.blocks.push(Arc::new(block));
    }

    /// Passes over a hidden block, of which `gap` tells.
    pub(super) fn skip(&mut self, block: &Block, gap: Gap) {
        if self.miss(gap) {
            self.bytes += block.payload.len() / SKIPPED_BYTES_DIVISOR + 1;
        }
    }

    /// Notes that everything up to `gap.to` is missing, and goes on behind it; false where blocks or a gap
    /// for another reason come before that, which ends the read.
    pub(super) fn miss(&mut self, gap: Gap) -> bool {
        if gap.to < self.next {
            return true;
        }
        let is_other = |before: &Gap| before.reason != gap.reason;
        if !self.blocks.is_empty() || self.gap.as_ref().is_some_and(is_other) {
            self.is_stopped = true;
            return false;
        }
        self.next = gap.to.next();
        self.gap = Some(match self.gap.take() {
            Some(before) => joined(before, gap),
            None => gap,
        });
        true
    }

    /// Damage from here up to `to`.
    pub(super) fn damaged_up_to(&self, to: Offset, lines: Option<u64>) -> Gap {
        Gap { from: self.next, to, lines, reason: "damage" }
    }

    pub(super) fn finish(self, tail: Option<Offset>) -> Read {
        let next = tail.map_or(self.next, |tail| self.next.max(tail));
        Read { gap: self.gap, blocks: self.blocks, next }
    }
}

/// One gap that tells both.
fn joined(before: Gap, gap: Gap) -> Gap {
    let lines = before.lines.zip(gap.lines).map(|(some, more)| some + more);
    Gap { from: before.from, to: gap.to, lines, ..gap }
}
