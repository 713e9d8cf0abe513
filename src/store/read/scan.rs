//! A scan of one segment in store order, past whatever is damaged or hidden.

use std::io;

use super::collected::CollectedBlocks;
use super::hidden::Hidden;
use super::segment_files::{Failure, SegmentFiles, io_failed, is_damage};
use crate::domain::{Block, Offset};
use crate::store::catalog::Segment;
use crate::store::format::{ChecksumSeed, FilePosition, ScanBuffer, ScanItem, decode_block};

/// A scan of one segment.
pub(super) struct Scan<'a> {
    pub(super) files: &'a SegmentFiles,
    pub(super) segment: &'a Segment,
    pub(super) seed: ChecksumSeed,
    pub(super) hidden: &'a Hidden,
    pub(super) buffer: ScanBuffer<'a>,
    pub(super) position: FilePosition,
}

impl Scan<'_> {
    /// Collects what stands from the position on. Where a part of the file cannot be read back, the rest
    /// counts as damaged.
    pub(super) fn run(&mut self, collected: &mut CollectedBlocks) -> Result<(), Failure> {
        while !collected.is_full() {
            match self.next_block(collected.next) {
                Ok(Some(block)) => self.collect(block, collected)?,
                Ok(None) => return Ok(()),
                Err(error) if is_damage(&error) => {
                    self.files.note_damage(self.segment, self.position, "cannot be read");
                    return Ok(());
                }
                Err(error) => return Err(io_failed(self.segment, &error)),
            }
        }
        Ok(())
    }

    /// The next block that has entries at or after `from`; `None` at the end.
    fn next_block(&mut self, from: Offset) -> io::Result<Option<Block>> {
        loop {
            match self.buffer.item(self.position, self.seed)? {
                ScanItem::End => return Ok(None),
                ScanItem::Chunk(found, bytes) => {
                    let is_wanted = found.header.count > 0 && found.header.end() > from;
                    let block = if is_wanted { decode_block(bytes, &found) } else { None };
                    self.position = self.position + found.bytes();
                    if block.is_some() {
                        return Ok(block);
                    }
                }
                ScanItem::Damaged => {
                    self.files.note_damage(self.segment, self.position, "a chunk");
                    let behind = self.buffer.next_chunk(self.position + 1, self.seed)?;
                    let Some((position, _)) = behind else { return Ok(None) };
                    self.position = position;
                }
            }
        }
    }

    fn collect(&self, block: Block, collected: &mut CollectedBlocks) -> Result<(), Failure> {
        // Nothing was read from where the read is up to the block.
        let hole = collected.damaged_up_to(Offset(block.base.0.saturating_sub(1)), None);
        if !collected.miss(self.files.with_reason(hole)) {
            return Ok(());
        }
        match self.hidden.gap(collected.next, &block)? {
            Some(gap) => collected.skip(&block, gap),
            None => collected.push(block),
        }
        Ok(())
    }
}
