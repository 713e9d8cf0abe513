//! Reads parts of segment files: chunks, and the indexes in footers.
//!
//! What is damaged is told as such and is no failure: readers get a gap for it. A footer's index that is
//! damaged is made anew from the chunks.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::index_cache::{IndexCache, IndexKey};
use super::open_files::OpenFiles;
use crate::domain::{Block, Gap, Offset, TaskId};
use crate::store::catalog::{Segment, add_sparse};
use crate::store::format::{
    ChecksumSeed, ChunkRef, FIRST_CHUNK, FilePosition, IndexAt, ScanBuffer, decode_block,
    decode_header, decode_index, read_footer_part,
};
use crate::store::log::ReadError;
use crate::store::shared::StoreShared;
use crate::store::task_index::IndexError;

/// How much is read at once where an index is made anew.
const READ_AHEAD_BYTES: usize = 1024 * 1024;

/// Why a read of one place gave nothing.
pub(super) enum Failure {
    /// Retention took the file away meanwhile.
    Gone,
    /// All else.
    Read(ReadError),
}

impl From<IndexError> for Failure {
    fn from(error: IndexError) -> Self {
        Self::Read(error.into())
    }
}

/// A chunk as it was read.
pub(super) struct ReadChunk {
    pub(super) block: Block,
    /// The task's entry before it.
    pub(super) previous: Option<Offset>,
}

/// The files of segments, and what is known about them.
#[derive(Debug)]
pub(super) struct SegmentFiles {
    shared: Arc<StoreShared>,
    files: Arc<OpenFiles>,
    indexes: IndexCache,
}

impl SegmentFiles {
    /// Keeps up to `index_cache_bytes` of indexes.
    pub(super) fn new(
        shared: Arc<StoreShared>,
        files: Arc<OpenFiles>,
        index_cache_bytes: usize,
    ) -> Self {
        Self { shared, files, indexes: IndexCache::new(index_cache_bytes) }
    }

    /// The segment's file; `None` where it is gone although nobody deleted it.
    pub(super) fn file(&self, segment: &Segment) -> Result<Option<Arc<File>>, Failure> {
        match self.files.get(segment) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_failed(segment, &error))
            }
            Err(_) if self.is_forgotten(segment) => Err(Failure::Gone),
            Err(_) => {
                self.note_damage(segment, FilePosition(0), "the file is missing");
                Ok(None)
            }
        }
    }

    fn is_forgotten(&self, segment: &Segment) -> bool {
        segment.base < self.shared.catalog().log_start_offset()
    }

    pub(super) fn seed(&self, segment: &Segment) -> ChecksumSeed {
        ChecksumSeed::new(self.shared.epoch, segment.base)
    }

    pub(super) fn note_damage(&self, segment: &Segment, position: FilePosition, what: &str) {
        self.shared.damage.note(&segment.path, position, what);
    }

    /// The same gap with the reason for which all of it was lost, where that is known.
    pub(super) fn with_reason(&self, gap: Gap) -> Gap {
        let lost = &self.shared.damage.lost;
        let known = lost.iter().find(|lost| lost.from <= gap.from && gap.to <= lost.to);
        Gap { reason: known.map_or(gap.reason, |known| known.reason), ..gap }
    }

    /// One chunk; `None` where it is damaged.
    pub(super) fn chunk(
        &self,
        file: &File,
        segment: &Segment,
        chunk: &ChunkRef,
    ) -> Result<Option<ReadChunk>, Failure> {
        let mut buffer = ScanBuffer::new(file, chunk.end_position(), 0);
        let bytes = match buffer.bytes(chunk.position, chunk.bytes as usize) {
            Ok(bytes) => bytes,
            Err(error) if is_damage(&error) => &[],
            Err(error) => return Err(io_failed(segment, &error)),
        };
        let found = decode_header(bytes, self.seed(segment), chunk.position);
        let read = found.and_then(|found| {
            let block = decode_block(bytes, &found)?;
            Some(ReadChunk { block, previous: found.header.previous })
        });
        if read.is_none() {
            self.note_damage(segment, chunk.position, "a chunk");
        }
        Ok(read)
    }

    /// An index of a sealed segment: a task's, or the sparse one.
    pub(super) fn index(
        &self,
        file: &File,
        segment: &Segment,
        task: Option<&TaskId>,
        at: IndexAt,
    ) -> Result<Arc<[ChunkRef]>, Failure> {
        let key = IndexKey { segment: segment.base, task: task.cloned() };
        if let Some(index) = self.indexes.get(&key) {
            return Ok(index);
        }
        let part = match read_footer_part(file, at) {
            Err(error) if is_damage(&error) => None,
            part => part.map_err(|error| io_failed(segment, &error))?,
        };
        let index = match part.and_then(|part| decode_index(&part)) {
            Some(index) => index,
            None => self.remade_index(file, segment, task, at)?,
        };
        let index: Arc<[_]> = index.into();
        self.indexes.put(key, index.clone());
        Ok(index)
    }

    /// The index as the chunks themselves give it.
    fn remade_index(
        &self,
        file: &File,
        segment: &Segment,
        task: Option<&TaskId>,
        at: IndexAt,
    ) -> Result<Vec<ChunkRef>, Failure> {
        self.note_damage(segment, at.position, "an index, which is made anew from the chunks");
        let mut index = Vec::new();
        let failed = |error| io_failed(segment, &error);
        let end = segment.sealed.get().map_or(FIRST_CHUNK, |sealed| sealed.data_end);
        let end = end.min(FilePosition(file.metadata().map_err(failed)?.len()));
        let mut buffer = ScanBuffer::new(file, end, READ_AHEAD_BYTES);
        let (mut position, seed) = (FIRST_CHUNK, self.seed(segment));
        while let Some((at, found)) = buffer.next_chunk(position, seed).map_err(failed)? {
            let head = buffer.bytes(at, found.bytes()).map_err(failed)?;
            let is_wanted = task.is_none_or(|task| found.task(head) == task.as_str().as_bytes());
            if is_wanted && found.header.count > 0 {
                match task {
                    Some(_) => index.push(found.location(at)),
                    None => add_sparse(&mut index, found.location(at)),
                }
            }
            position = at + found.bytes();
        }
        Ok(index)
    }
}

/// Whether the file has not what it had, rather than that it cannot be asked just now.
pub(super) fn is_damage(error: &io::Error) -> bool {
    let is_bad_sector = error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
    is_bad_sector || error.kind() == io::ErrorKind::UnexpectedEof
}

pub(super) fn failed(segment: &Segment, what: &str) -> ReadError {
    ReadError::Failed(format!("{}: {what}", segment.path.display()).into())
}

pub(super) fn io_failed(segment: &Segment, error: &io::Error) -> Failure {
    Failure::Read(failed(segment, &error.to_string()))
}
