//! Segments in files.

mod active;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use super::segment_writer::{CommitHeader, SegmentWriter};
use super::staging::StagedBlock;
use crate::domain::{Epoch, LineNumber, Offset, TaskId};
use crate::store::catalog::{Catalog, Sealing, Segment, SegmentFooter};
use crate::store::data_dir::meta_path;
use crate::store::disk::{Disk, FileState, Room};
use crate::store::format::{
    ChecksumSeed, Chunk, ChunkHeader, ChunkRef, Compressor, Cursors, FIRST_CHUNK, FilePosition,
    LastCommit, Millis, Trim, encode_chunk, encode_trims, segment_path,
};
use crate::store::options::{Durability, StoreOptions};
use crate::store::read::OpenFiles;
use crate::store::writing::WriteError;

pub(in crate::store) use active::{ActiveFile, ActiveSegment};

/// Segments in files.
pub(in crate::store) struct FileSegments {
    options: StoreOptions,
    epoch: Epoch,
    active: ActiveFile,
    /// The file that names the store, as it was at the opening.
    meta: FileState,
    /// Segments that are forgotten and whose files are still there, oldest first.
    pending_deletes: VecDeque<Arc<Segment>>,
    open_files: Arc<OpenFiles>,
    compressor: Compressor,
    /// The bytes of a commit's chunks; reused.
    bytes: Vec<u8>,
    /// Held for as long as the data directory is used.
    lock: Option<File>,
}

impl FileSegments {
    /// # Errors
    /// When the file that names the store cannot be looked at.
    pub(in crate::store) fn new(
        options: StoreOptions,
        epoch: Epoch,
        active: ActiveFile,
        open_files: Arc<OpenFiles>,
        lock: File,
    ) -> io::Result<Self> {
        Ok(Self {
            meta: options.disk.state(&meta_path(&options.dir))?,
            options,
            epoch,
            active,
            pending_deletes: VecDeque::new(),
            open_files,
            compressor: Compressor::default(),
            bytes: Vec::new(),
            lock: Some(lock),
        })
    }

    /// The active segment, whose file is made where it has none.
    fn open(&mut self, first_commit: u64) -> Result<&mut ActiveSegment, WriteError> {
        if let ActiveFile::Missing { base } = self.active {
            let made = ActiveSegment::create(&self.options, self.epoch, base, first_commit)?;
            self.active = ActiveFile::Open(made);
        }
        match &mut self.active {
            ActiveFile::Open(active) => Ok(active),
            ActiveFile::Missing { .. } => unreachable!("it was made just now"),
        }
    }

    fn is_synced(&self) -> bool {
        self.options.durability == Durability::Fsync
    }

    /// Begins the bytes of a commit, which will stand at the end of the active segment.
    fn begin_commit(&mut self, number: u64) -> Result<CommitPlace, WriteError> {
        let active = self.open(number)?;
        let place = CommitPlace { seed: active.seed, start: active.position };
        self.bytes.clear();
        Ok(place)
    }

    /// Appends a chunk to the commit's bytes; returns where it will stand and how long it is.
    fn encode(&mut self, place: CommitPlace, chunk: &Chunk<'_>) -> (FilePosition, usize) {
        let start = self.bytes.len();
        let position = place.start + start;
        encode_chunk(&mut self.bytes, &mut self.compressor, place.seed, position, chunk);
        (position, self.bytes.len() - start)
    }

    fn encode_block(&mut self, place: CommitPlace, staged: &mut StagedBlock, header: ChunkHeader) {
        let block = &staged.block;
        let header = ChunkHeader {
            base: block.base,
            base_line: LineNumber(block.base_line),
            count: block.count,
            lines: block.lines,
            previous: staged.previous,
            ..header
        };
        let chunk = Chunk { header, task: block.task.as_str(), payload: &block.payload };
        let (position, bytes) = self.encode(place, &chunk);
        staged.location = Some(ChunkRef {
            position,
            base: header.base,
            base_line: header.base_line,
            bytes: bytes as u32,
            count: header.count,
        });
    }

    fn encode_cursors(&mut self, place: CommitPlace, cursors: &Cursors, header: ChunkHeader) {
        let chunk = Chunk { header, task: "", payload: &cursors.encode() };
        self.encode(place, &chunk);
    }

    /// Writes a commit of `chunks`, which have no entries, and makes it durable, after all before it is.
    /// Returns that there is one.
    fn write_alone(
        &mut self,
        commit: CommitHeader,
        chunks: &[Chunk<'_>],
    ) -> Result<bool, WriteError> {
        self.open(commit.number)?.sync()?;
        let place = self.begin_commit(commit.number)?;
        for chunk in chunks {
            self.encode(place, chunk);
        }
        self.append(commit, chunks.len())?;
        self.open(commit.number)?.sync()?;
        Ok(true)
    }

    /// Appends the commit's bytes to the active segment; returns how many they are.
    fn append(&mut self, commit: CommitHeader, chunks: usize) -> Result<usize, WriteError> {
        let bytes = std::mem::take(&mut self.bytes);
        let appended = self.open(commit.number).and_then(|active| active.append(&bytes, chunks));
        self.bytes = bytes;
        appended.map(|()| self.bytes.len())
    }
}

/// Where the bytes of a commit will stand.
#[derive(Debug, Clone, Copy)]
struct CommitPlace {
    seed: ChecksumSeed,
    start: FilePosition,
}

impl SegmentWriter for FileSegments {
    fn write(
        &mut self,
        commit: CommitHeader,
        blocks: &mut [StagedBlock],
        cursors: &Cursors,
    ) -> Result<usize, WriteError> {
        let end = blocks.last().map_or(Offset::FIRST, |staged| staged.block.end());
        let header = ChunkHeader {
            synced: self.is_synced(),
            chunks_in_commit: blocks.len() as u32 + u32::from(!cursors.is_empty()),
            ..ChunkHeader::control_chunk(commit.number, end, commit.time)
        };
        let place = self.begin_commit(commit.number)?;
        for (index, staged) in (0..).zip(blocks.iter_mut()) {
            self.encode_block(place, staged, ChunkHeader { index, ..header });
        }
        if !cursors.is_empty() {
            let index = header.chunks_in_commit - 1;
            self.encode_cursors(place, cursors, ChunkHeader { index, ..header });
        }
        let written = self.append(commit, blocks.len())?;
        self.open(commit.number)?.last_time = commit.time;
        self.bytes.shrink_to(2 * self.options.commit_bytes);
        Ok(written)
    }

    fn sync(&mut self) -> Result<(), WriteError> {
        match &self.active {
            ActiveFile::Open(active) if self.is_synced() => active.sync(),
            _ => Ok(()),
        }
    }

    fn write_control_chunk(
        &mut self,
        commit: CommitHeader,
        tail: Offset,
        cursors: &Cursors,
    ) -> Result<bool, WriteError> {
        let header = ChunkHeader::control_chunk(commit.number, tail, commit.time);
        let payload = if cursors.is_empty() { Vec::new() } else { cursors.encode() };
        self.write_alone(commit, &[Chunk { header, task: "", payload: &payload }])
    }

    fn write_tombstones(
        &mut self,
        commit: CommitHeader,
        tail: Offset,
        tasks: &[TaskId],
    ) -> Result<bool, WriteError> {
        let header = ChunkHeader {
            chunks_in_commit: tasks.len() as u32,
            ..ChunkHeader::control_chunk(commit.number, tail, commit.time)
        };
        let chunks = (0..).zip(tasks).map(|(index, task)| Chunk {
            header: ChunkHeader { index, ..header },
            task: task.as_str(),
            payload: &[],
        });
        self.write_alone(commit, &chunks.collect::<Vec<_>>())
    }

    fn write_trims(
        &mut self,
        commit: CommitHeader,
        tail: Offset,
        trims: &[(TaskId, Trim)],
    ) -> Result<bool, WriteError> {
        let header = ChunkHeader {
            has_trims: true,
            ..ChunkHeader::control_chunk(commit.number, tail, commit.time)
        };
        let trims: Vec<_> = trims.iter().map(|(task, trim)| (task.as_str(), *trim)).collect();
        self.write_alone(commit, &[Chunk { header, task: "", payload: &encode_trims(&trims) }])
    }

    fn is_full(&self) -> bool {
        let ActiveFile::Open(active) = &self.active else { return false };
        active.position.0 >= self.options.segment_bytes
            || active.chunks >= self.options.segment_chunks
    }

    fn is_old(&self, now: Millis) -> bool {
        let ActiveFile::Open(active) = &self.active else { return false };
        active.created.age_at(now) >= self.options.segment_age
    }

    /// The footer is durable before the next file is made: a segment without one is the last.
    fn seal(&mut self, catalog: &Catalog, next_commit: u64) -> Result<Sealing, WriteError> {
        let active = self.open(next_commit)?;
        let last = LastCommit { number: next_commit - 1, time: active.last_time };
        let SegmentFooter { sealed, indexes, bytes } =
            catalog.footer(active.seed, active.position, last);
        active.append(&bytes, 0)?;
        active.sync()?;
        let base = sealed.end_offset;
        self.active = ActiveFile::Missing { base };
        let next = Segment::new(base, segment_path(&self.options.dir, base));
        Ok(Sealing { sealed, indexes, next, first_chunk: FIRST_CHUNK })
    }

    fn begin(&mut self, next_commit: u64) -> Result<(), WriteError> {
        self.open(next_commit).map(|_| ())
    }

    fn check_place(&self) -> io::Result<()> {
        let StoreOptions { disk, dir, .. } = &self.options;
        check_file(disk.as_ref(), &meta_path(dir), self.meta)?;
        match &self.active {
            ActiveFile::Open(active) => {
                let path = segment_path(dir, active.base);
                check_file(disk.as_ref(), &path, active.file.state()?)
            }
            ActiveFile::Missing { .. } => Ok(()),
        }
    }

    fn room(&self) -> Option<Room> {
        self.options.disk.room(&self.options.dir).ok()
    }

    fn delete(&mut self, segment: &Arc<Segment>) {
        self.pending_deletes.push_back(Arc::clone(segment));
    }

    /// In order and one by one durably: a hole between segments would look like loss.
    fn run_pending_deletes(&mut self) {
        while let Some(segment) = self.pending_deletes.front() {
            let removed = self.options.disk.remove(&segment.path);
            self.open_files.forget(segment.base);
            let result = removed.and_then(|()| self.options.disk.sync_directory(&self.options.dir));
            match result {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    let file = segment.path.display();
                    tracing::warn!(%error, %file, "cannot remove a segment that was dropped");
                    return;
                }
                _ => self.pending_deletes.pop_front(),
            };
        }
    }

    fn close(&mut self) {
        drop(self.lock.take());
    }
}

/// Looks whether `path` still names the file whose state is `known`.
fn check_file(disk: &dyn Disk, path: &Path, known: FileState) -> io::Result<()> {
    let file = path.display();
    match disk.state(path) {
        Ok(found) if found.id == known.id => Ok(()),
        Ok(_) => Err(io::Error::other(format!("{file} is another file than before"))),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(io::Error::other(format!("{file} was removed")))
        }
        // Whether it is there is not known then; a write will tell.
        Err(_) => Ok(()),
    }
}
