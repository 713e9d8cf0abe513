//! Segments in files.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;

use super::segment_writer::{CommitHeader, SegmentWriter};
use super::staging::StagedBlock;
use crate::domain::{Epoch, LineNumber, Offset};
use crate::store::catalog::{Catalog, Sealing, Segment, SegmentFooter};
use crate::store::disk::DiskFile;
use crate::store::format::{
    ChecksumSeed, Chunk, ChunkHeader, ChunkRef, Compressor, Cursors, FIRST_CHUNK, FilePosition,
    LastCommit, Millis, SegmentHeader, VERSION, encode_chunk, segment_path,
};
use crate::store::options::{Durability, StoreOptions};
use crate::store::read::OpenFiles;

/// The segment that commits are appended to.
#[derive(Debug)]
pub(in crate::store) struct ActiveSegment {
    pub(in crate::store) file: Arc<dyn DiskFile>,
    pub(in crate::store) seed: ChecksumSeed,
    /// Where the next bytes go.
    pub(in crate::store) position: FilePosition,
    pub(in crate::store) created: Millis,
    pub(in crate::store) chunks: usize,
    pub(in crate::store) last_time: Millis,
}

impl ActiveSegment {
    /// Makes the segment's file and its durable header.
    ///
    /// # Errors
    /// As the file system reports them.
    pub(in crate::store) fn create(
        options: &StoreOptions,
        epoch: Epoch,
        base: Offset,
        first_commit: u64,
    ) -> io::Result<Self> {
        let StoreOptions { disk, dir, .. } = options;
        let file = disk.create(&segment_path(dir, base))?;
        let created = Millis::now();
        let header = SegmentHeader { version: VERSION, epoch, base, first_commit, created };
        file.write(&header.encode(), 0)?;
        file.sync()?;
        disk.sync_directory(dir)?;
        let seed = ChecksumSeed::new(epoch, base);
        Ok(Self { file, seed, position: FIRST_CHUNK, created, chunks: 0, last_time: created })
    }

    fn append(&mut self, bytes: &[u8], chunks: usize) -> io::Result<()> {
        self.file.write(bytes, self.position.0)?;
        self.position = self.position + bytes.len();
        self.chunks += chunks;
        Ok(())
    }
}

/// Segments in files.
pub(in crate::store) struct FileSegments {
    options: StoreOptions,
    epoch: Epoch,
    active: ActiveSegment,
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
    pub(in crate::store) fn new(
        options: StoreOptions,
        epoch: Epoch,
        active: ActiveSegment,
        open_files: Arc<OpenFiles>,
        lock: File,
    ) -> Self {
        Self {
            options,
            epoch,
            active,
            pending_deletes: VecDeque::new(),
            open_files,
            compressor: Compressor::default(),
            bytes: Vec::new(),
            lock: Some(lock),
        }
    }

    fn is_synced(&self) -> bool {
        self.options.durability == Durability::Fsync
    }

    /// Appends a chunk to the commit's bytes; returns where it will stand and how long it is.
    fn encode(&mut self, chunk: &Chunk<'_>) -> (FilePosition, usize) {
        let start = self.bytes.len();
        let position = self.active.position + start;
        encode_chunk(&mut self.bytes, &mut self.compressor, self.active.seed, position, chunk);
        (position, self.bytes.len() - start)
    }

    fn encode_block(&mut self, staged: &mut StagedBlock, header: ChunkHeader) {
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
        let (position, bytes) = self.encode(&chunk);
        staged.location = Some(ChunkRef {
            position,
            base: header.base,
            base_line: header.base_line,
            bytes: bytes as u32,
            count: header.count,
        });
    }

    fn encode_cursors(&mut self, cursors: &Cursors, header: ChunkHeader) {
        let chunk = Chunk { header, task: "", payload: &cursors.encode() };
        self.encode(&chunk);
    }
}

impl SegmentWriter for FileSegments {
    fn write(
        &mut self,
        commit: CommitHeader,
        blocks: &mut [StagedBlock],
        cursors: &Cursors,
    ) -> io::Result<usize> {
        let end = blocks.last().map_or(Offset::FIRST, |staged| staged.block.end());
        let header = ChunkHeader {
            synced: self.is_synced(),
            chunks_in_commit: blocks.len() as u32 + u32::from(!cursors.is_empty()),
            ..ChunkHeader::control_chunk(commit.number, end, commit.time)
        };
        self.bytes.clear();
        for (index, staged) in (0..).zip(blocks.iter_mut()) {
            self.encode_block(staged, ChunkHeader { index, ..header });
        }
        if !cursors.is_empty() {
            let index = header.chunks_in_commit - 1;
            self.encode_cursors(cursors, ChunkHeader { index, ..header });
        }
        self.active.append(&self.bytes, blocks.len())?;
        self.active.last_time = commit.time;
        let written = self.bytes.len();
        self.bytes.shrink_to(2 * self.options.commit_bytes);
        Ok(written)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.is_synced() { self.active.file.sync() } else { Ok(()) }
    }

    fn write_control_chunk(
        &mut self,
        commit: CommitHeader,
        tail: Offset,
        cursors: &Cursors,
    ) -> io::Result<bool> {
        self.active.file.sync()?;
        let header = ChunkHeader::control_chunk(commit.number, tail, commit.time);
        let payload = if cursors.is_empty() { Vec::new() } else { cursors.encode() };
        self.bytes.clear();
        self.encode(&Chunk { header, task: "", payload: &payload });
        self.active.append(&self.bytes, 1)?;
        self.active.file.sync()?;
        Ok(true)
    }

    fn is_full(&self) -> bool {
        self.active.position.0 >= self.options.segment_bytes
            || self.active.chunks >= self.options.segment_chunks
    }

    fn is_old(&self, now: Millis) -> bool {
        self.active.created.age_at(now) >= self.options.segment_age
    }

    fn seal(&mut self, catalog: &Catalog, next_commit: u64) -> io::Result<Sealing> {
        let last = LastCommit { number: next_commit - 1, time: self.active.last_time };
        let SegmentFooter { sealed, indexes, bytes } =
            catalog.footer(self.active.seed, self.active.position, last);
        self.active.append(&bytes, 0)?;
        self.active.file.sync()?;
        let base = sealed.end_offset;
        self.active = ActiveSegment::create(&self.options, self.epoch, base, next_commit)?;
        let next = Segment::new(base, segment_path(&self.options.dir, base));
        Ok(Sealing { sealed, indexes, next, first_chunk: self.active.position })
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
