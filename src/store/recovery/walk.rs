//! The walk over a segment's chunks: takes whatever is sound into a catalog.
//!
//! Chunks stand one behind the other, and their offsets follow each other. A place where that is not so is
//! damaged, and the walk goes on at the next chunk whose header is sound.

use std::fs::File;
use std::io;
use std::path::Path;

use bytes::Bytes;

use super::lost::Losses;
use crate::domain::{Block, Offset, TaskId};
use crate::store::catalog::{Catalog, CommittedChunk, RunStats};
use crate::store::format::{
    ChecksumSeed, ChunkHeader, ChunkRef, Cursors, FIRST_CHUNK, FilePosition, FoundChunk, Millis,
    ScanBuffer, Trim, decode_block, decode_payload, decode_task, decode_trims, was_control_chunk,
};
use crate::store::open_error::OpenError;
use crate::store::task_index::{IndexError, IndexReader, IndexedTask, TaskIndex};

/// How much of a segment is read at once.
const READ_AHEAD_BYTES: usize = 1024 * 1024;

/// The walk over a segment's chunks.
pub(in crate::store) struct Walk<'a> {
    path: &'a Path,
    seed: ChecksumSeed,
    buffer: ScanBuffer<'a>,
    end: FilePosition,
    catalog: &'a mut Catalog,
    index: &'a TaskIndex,
    /// Opened for the first task that is looked up: the index does not change meanwhile.
    reader: Option<IndexReader>,
    losses: &'a mut Losses,
    /// The commit that the chunks in `commit` belong to.
    number: u64,
    commit: Vec<Seen>,
    /// Whether every chunk of it was sound so far, and none is missing.
    is_sound: bool,
    /// Where the last commit that counts ends.
    pub(super) position: FilePosition,
    pub(super) chunks: usize,
    pub(super) last_time: Millis,
}

/// A chunk of a commit that is not yet taken in.
struct Seen {
    header: ChunkHeader,
    content: Content,
    location: ChunkRef,
}

/// What a chunk holds.
enum Content {
    Entries(Block),
    /// Entries that are damaged: the block has no payload.
    Damaged(Block),
    /// How far sources were read.
    Cursors(Cursors),
    /// What this task has before it is deleted.
    Tombstone(TaskId),
    /// What these tasks have lost to the limit on their bytes.
    Trims(Vec<(TaskId, Trim)>),
}

/// What stands behind the last commit that counts.
pub(super) struct Tail {
    /// The offset after what may have stood there.
    pub(super) end: Offset,
}

impl<'a> Walk<'a> {
    /// A walk over `file` up to `end`; commits begin with `first_commit`.
    pub(in crate::store) fn new(
        (path, file, end): (&'a Path, &'a File, FilePosition),
        seed: ChecksumSeed,
        (first_commit, created): (u64, Millis),
        catalog: &'a mut Catalog,
        index: &'a TaskIndex,
        losses: &'a mut Losses,
    ) -> Self {
        Self {
            path,
            seed,
            buffer: ScanBuffer::new(file, end, READ_AHEAD_BYTES),
            end,
            catalog,
            index,
            reader: None,
            losses,
            number: first_commit,
            commit: Vec::new(),
            is_sound: true,
            position: FIRST_CHUNK,
            chunks: 0,
            last_time: created,
        }
    }

    /// The number that the next commit gets.
    pub(super) fn next_commit(&self) -> u64 {
        self.number
    }

    /// Takes in everything but the last commit where that is not whole; returns what may have stood
    /// behind, where something did.
    ///
    /// # Errors
    /// What the file system reports.
    pub(super) fn run_active(&mut self) -> Result<Option<Tail>, OpenError> {
        self.run()?;
        if self.position == self.end {
            return Ok(None);
        }
        let known = self.commit.iter().map(|seen| seen.header.end()).max();
        let read = self.commit.last().map_or(self.position, |seen| seen.location.end_position());
        let known = known.unwrap_or(self.catalog.tail).max(self.catalog.tail);
        let bytes = self.buffer.bytes(read, self.end - read);
        let bytes = bytes.map_err(OpenError::io("read", self.path))?;
        let has_entries = !was_control_chunk(bytes) && !self.catalog.begins_footer(read, bytes);
        // An entry takes a byte at the least: numbers that may have been given are not given again.
        let unknown = if has_entries { bytes.len() as u64 } else { 0 };
        Ok(Some(Tail { end: Offset(known.0 + unknown) }))
    }

    /// Takes in everything, as of a segment that was sealed.
    ///
    /// # Errors
    /// What the file system reports.
    pub(in crate::store) fn run_sealed(&mut self) -> Result<(), OpenError> {
        self.run()?;
        self.take_commit()
    }

    fn run(&mut self) -> Result<(), OpenError> {
        let mut position = self.position;
        let failed = OpenError::io("read", self.path);
        while let Some((at, found)) =
            self.buffer.next_chunk(position, self.seed).map_err(&failed)?
        {
            if at > position {
                self.is_sound = false;
                self.losses.note(self.path, position, "not a chunk");
            }
            let Some(seen) = self.see(at, &found).map_err(&failed)? else {
                self.losses.note(self.path, at, "a chunk that does not follow the one before it");
                position = at + 1;
                continue;
            };
            self.push(seen)?;
            position = at + found.bytes();
        }
        Ok(())
    }

    /// Reads a chunk whose header is sound; `None` where it cannot stand here.
    fn see(&mut self, at: FilePosition, found: &FoundChunk) -> io::Result<Option<Seen>> {
        let header = found.header;
        let expected = self.commit.last().map_or(self.catalog.tail, |seen| seen.header.end());
        if header.base < expected || header.commit < self.number {
            return Ok(None);
        }
        let bytes = self.buffer.bytes(at, found.bytes())?;
        let content = if found.is_tombstone() {
            decode_task(bytes, found).map(Content::Tombstone)
        } else if header.has_trims {
            Some(Content::Trims(trims_of(bytes, found)))
        } else if header.count == 0 {
            let cursors =
                decode_payload(bytes, found).and_then(|cursors| Cursors::decode(&cursors));
            Some(Content::Cursors(cursors.unwrap_or_default()))
        } else {
            let block = decode_block(bytes, found).map(Content::Entries);
            block.or_else(|| Some(Content::Damaged(without_payload(bytes, found)?)))
        };
        let location = found.location(at);
        Ok(content.map(|content| Seen { header, content, location }))
    }

    /// Adds a chunk to its commit, and takes the commit in once it is whole or another one begins.
    fn push(&mut self, seen: Seen) -> Result<(), OpenError> {
        let ChunkHeader { commit, index, chunks_in_commit, .. } = seen.header;
        if commit != self.number {
            self.take_commit()?;
            (self.number, self.is_sound) = (commit, true);
        }
        self.is_sound &= index as usize == self.commit.len();
        self.is_sound &= !matches!(seen.content, Content::Damaged(_));
        self.commit.push(seen);
        if self.is_sound && self.commit.len() == chunks_in_commit as usize {
            self.take_commit()?;
            self.number += 1;
        }
        Ok(())
    }

    fn take_commit(&mut self) -> Result<(), OpenError> {
        for seen in std::mem::take(&mut self.commit) {
            self.chunks += 1;
            self.last_time = seen.header.time;
            self.position = seen.location.end_position();
            if self.catalog.tail < seen.header.base {
                self.losses.add(self.catalog.tail, seen.header.base);
                self.catalog.tail = seen.header.base;
            }
            let (block, stats) = match &seen.content {
                Content::Cursors(cursors) => {
                    self.catalog.cursors.advance_all(cursors);
                    continue;
                }
                Content::Tombstone(task) => {
                    self.catalog.delete(task);
                    continue;
                }
                Content::Trims(trims) => {
                    trims.iter().for_each(|(task, trim)| self.catalog.trim(task, *trim));
                    continue;
                }
                Content::Entries(block) => (block, RunStats::of_block(block)),
                Content::Damaged(block) => {
                    self.losses.note(self.path, seen.location.position, "a chunk");
                    (block, Vec::new())
                }
            };
            self.make_resident(&block.task)?;
            let (previous, location) = (seen.header.previous, Some(seen.location));
            self.catalog.add_chunk(&CommittedChunk { block, previous, location }, stats);
        }
        Ok(())
    }

    /// What the index has of `task`.
    fn indexed(&mut self, task: &TaskId) -> Result<Option<IndexedTask>, IndexError> {
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => self.index.reader()?,
        };
        self.reader.insert(reader).load(task.as_str())
    }

    /// Loads what sealed segments have of `task`.
    fn make_resident(&mut self, task: &TaskId) -> Result<(), OpenError> {
        if self.catalog.has_all_of(task) {
            return Ok(());
        }
        let failed = OpenError::io("read the task index beside", self.path);
        if let Some(indexed) =
            self.indexed(task).map_err(|error| failed(io::Error::other(error)))?
        {
            // None where nothing of it is left.
            let _known = self.catalog.add_indexed(task, &indexed);
        }
        Ok(())
    }
}

/// The trims of a chunk that has them; none where they are damaged.
fn trims_of(bytes: &[u8], found: &FoundChunk) -> Vec<(TaskId, Trim)> {
    let payload = decode_payload(bytes, found).unwrap_or_default();
    let trims = decode_trims(&payload).unwrap_or_default().into_iter();
    trims.filter_map(|(task, trim)| Some((TaskId::new(task).ok()?, trim))).collect()
}

/// What the header says of a chunk whose payload is damaged.
fn without_payload(bytes: &[u8], found: &FoundChunk) -> Option<Block> {
    let ChunkHeader { base, base_line, count, lines, time, .. } = found.header;
    let task = decode_task(bytes, found)?;
    let (base_line, time_ms, payload) = (base_line.0, time.0, Bytes::new());
    Some(Block { task, base, base_line, count, lines, time_ms, payload })
}
