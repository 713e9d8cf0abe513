//! Segments without files: they count, so that retention works as it does on a disk, and the newest
//! blocks are kept to be read.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::segment_writer::{CommitHeader, SegmentWriter};
use super::staging::StagedBlock;
use crate::domain::{Offset, TaskId};
use crate::store::catalog::{Catalog, Sealing, Segment};
use crate::store::disk::Room;
use crate::store::format::{Cursors, FilePosition, IndexAt, Millis, SealedSegment, Trim};
use crate::store::memory::MemoryBlocks;
use crate::store::options::StoreOptions;
use crate::store::writing::WriteError;

/// The active segment of a store without files.
#[derive(Debug)]
pub(in crate::store) struct MemorySegments {
    kept: Arc<MemoryBlocks>,
    segment_bytes: u64,
    segment_chunks: usize,
    segment_age: Duration,
    bytes: u64,
    chunks: usize,
    created: Millis,
    last_time: Millis,
}

impl MemorySegments {
    pub(in crate::store) fn new(options: &StoreOptions, kept: Arc<MemoryBlocks>) -> Self {
        let now = Millis::now();
        Self {
            kept,
            segment_bytes: options.segment_bytes,
            segment_chunks: options.segment_chunks,
            segment_age: options.segment_age,
            bytes: 0,
            chunks: 0,
            created: now,
            last_time: now,
        }
    }
}

impl SegmentWriter for MemorySegments {
    fn write(
        &mut self,
        commit: CommitHeader,
        blocks: &mut [StagedBlock],
        _cursors: &Cursors,
    ) -> Result<usize, WriteError> {
        self.bytes += blocks.iter().map(|staged| staged.block.payload.len() as u64).sum::<u64>();
        self.chunks += blocks.len();
        self.last_time = commit.time;
        blocks.iter().for_each(|staged| self.kept.push(&staged.block, staged.previous));
        Ok(0)
    }

    fn sync(&mut self) -> Result<(), WriteError> {
        Ok(())
    }

    fn write_control_chunk(
        &mut self,
        _commit: CommitHeader,
        _tail: Offset,
        _cursors: &Cursors,
    ) -> Result<bool, WriteError> {
        Ok(false)
    }

    fn write_tombstones(
        &mut self,
        _commit: CommitHeader,
        _tail: Offset,
        tasks: &[TaskId],
    ) -> Result<bool, WriteError> {
        tasks.iter().for_each(|task| self.kept.forget(task));
        Ok(false)
    }

    fn write_trims(
        &mut self,
        _commit: CommitHeader,
        _tail: Offset,
        _trims: &[(TaskId, Trim)],
    ) -> Result<bool, WriteError> {
        Ok(false)
    }

    fn is_full(&self) -> bool {
        self.bytes >= self.segment_bytes || self.chunks >= self.segment_chunks
    }

    fn is_old(&self, now: Millis) -> bool {
        self.created.age_at(now) >= self.segment_age
    }

    fn seal(&mut self, catalog: &Catalog, _next_commit: u64) -> Result<Sealing, WriteError> {
        let nowhere = IndexAt { position: FilePosition(0), bytes: 0, crc: 0 };
        let sealed = SealedSegment {
            data_end: FilePosition(0),
            end_offset: catalog.tail,
            file_bytes: 0,
            last_time: self.last_time,
            sparse: nowhere,
        };
        let now = Millis::now();
        (self.bytes, self.chunks, self.created, self.last_time) = (0, 0, now, now);
        Ok(Sealing {
            sealed,
            indexes: Vec::new(),
            next: Segment::new(catalog.tail, "".into()),
            first_chunk: FilePosition(0),
        })
    }

    fn begin(&mut self, _next_commit: u64) -> Result<(), WriteError> {
        Ok(())
    }

    fn check_place(&self) -> io::Result<()> {
        Ok(())
    }

    fn room(&self) -> Option<Room> {
        None
    }

    fn delete(&mut self, segment: &Arc<Segment>) {
        if let Some(sealed) = segment.sealed.get() {
            self.kept.drop_before(sealed.end_offset);
        }
    }

    fn run_pending_deletes(&mut self) {}

    fn close(&mut self) {}
}
