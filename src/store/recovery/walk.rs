//! The walk over the last segment's chunks.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::domain::{Block, Offset, TaskId};
use crate::store::catalog::{Catalog, CommittedChunk, RunStats};
use crate::store::format::{
    ChecksumSeed, ChunkRef, Cursors, FIRST_CHUNK, FilePosition, FoundChunk, Millis, ScanBuffer,
    ScanItem, SegmentHeader, decode_block, decode_payload, decode_task,
};
use crate::store::open_error::OpenError;
use crate::store::task_index::TaskIndex;

/// How much of the last segment is read at once.
const READ_AHEAD_BYTES: usize = 1024 * 1024;

/// The walk over the last segment's chunks: takes whole commits into the catalog.
pub(super) struct Walk<'a> {
    path: &'a Path,
    seed: ChecksumSeed,
    buffer: ScanBuffer<'a>,
    catalog: &'a mut Catalog,
    index: &'a TaskIndex,
    pub(super) next_commit: u64,
    /// Where the last whole commit ends.
    pub(super) position: FilePosition,
    pub(super) chunks: usize,
    pub(super) last_time: Millis,
}

/// A chunk of a commit whose end is not yet seen.
struct Seen {
    content: Content,
    location: ChunkRef,
    previous: Option<Offset>,
    time: Millis,
}

/// What a chunk holds.
enum Content {
    Entries(Block),
    /// A control chunk; see `cursors`.
    Cursors(Cursors),
    /// What this task has before it is deleted.
    Tombstone(TaskId),
}

impl Content {
    /// Reads an intact chunk; `None` where it holds nonsense.
    fn of(bytes: &[u8], found: &FoundChunk) -> Option<Self> {
        if found.header.count > 0 {
            return decode_block(bytes, found).map(Self::Entries);
        }
        if found.is_tombstone() {
            return decode_task(bytes, found).map(Self::Tombstone);
        }
        Cursors::decode(&decode_payload(bytes, found)?).map(Self::Cursors)
    }
}

/// What stands behind damage.
enum Behind {
    /// Nothing that counts.
    Nothing,
    /// Chunks that do not prove that the damaged ones were durable.
    Unproven { chunks: u64, entries: u64 },
    /// An intact chunk that proves it.
    Proof { position: FilePosition, commit: u64 },
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        path: &'a Path,
        file: &'a File,
        end: FilePosition,
        seed: ChecksumSeed,
        header: &SegmentHeader,
        catalog: &'a mut Catalog,
        index: &'a TaskIndex,
    ) -> Self {
        Self {
            path,
            seed,
            buffer: ScanBuffer::new(file, end, READ_AHEAD_BYTES),
            catalog,
            index,
            next_commit: header.first_commit,
            position: FIRST_CHUNK,
            chunks: 0,
            last_time: header.created,
        }
    }

    /// Takes in what is intact.
    ///
    /// # Errors
    /// Damage to what was durable, and what the file system reports.
    pub(super) fn run(&mut self) -> Result<(), OpenError> {
        let mut commit = Vec::new();
        let mut position = self.position;
        loop {
            let item = self.buffer.item(position, self.seed);
            match item.map_err(OpenError::io("read", self.path))? {
                ScanItem::End if commit.is_empty() => return Ok(()),
                ScanItem::End | ScanItem::Damaged => return self.on_damage(position),
                ScanItem::Chunk(found, bytes) => {
                    let next = NextChunk {
                        commit: self.next_commit,
                        index: commit.len(),
                        base: commit.last().map_or(self.catalog.tail, end_of),
                    };
                    let content = Content::of(bytes, &found);
                    let Some(content) = content.filter(|_| next.matches(&found)) else {
                        let what = "the chunk does not follow the one before it";
                        return Err(OpenError::damaged(self.path, position, what));
                    };
                    commit.push(Seen::new(content, &found, position));
                    position = position + found.bytes();
                    if commit.len() == found.header.chunks_in_commit as usize {
                        self.on_commit(&mut commit, position)?;
                    }
                }
            }
        }
    }

    fn on_commit(
        &mut self,
        commit: &mut Vec<Seen>,
        position: FilePosition,
    ) -> Result<(), OpenError> {
        self.chunks += commit.len();
        for seen in commit.drain(..) {
            self.last_time = seen.time;
            match &seen.content {
                Content::Cursors(cursors) => self.catalog.cursors.advance_all(cursors),
                Content::Tombstone(task) => self.catalog.delete(task),
                Content::Entries(block) => {
                    self.make_resident(&block.task)?;
                    let (previous, location) = (seen.previous, Some(seen.location));
                    let chunk = CommittedChunk { block, previous, location };
                    self.catalog.add_chunk(&chunk, RunStats::of_block(block));
                }
            }
        }
        self.next_commit += 1;
        self.position = position;
        Ok(())
    }

    /// Loads what sealed segments have of `task`.
    fn make_resident(&mut self, task: &TaskId) -> Result<(), OpenError> {
        if self.catalog.has_all_of(task) {
            return Ok(());
        }
        let indexed = self.index.reader().and_then(|reader| reader.load(task.as_str()));
        let failed = OpenError::io("read the task index beside", self.path);
        if let Some(indexed) = indexed.map_err(|error| failed(io::Error::other(error)))? {
            // None where nothing of it is left.
            let _known = self.catalog.add_indexed(task, &indexed);
        }
        Ok(())
    }

    /// Decides whether what is not intact from `position` on may go.
    fn on_damage(&mut self, position: FilePosition) -> Result<(), OpenError> {
        let behind = self.behind(position).map_err(OpenError::io("read", self.path))?;
        let file = self.path.display();
        let (at, truncated_at) = (position.0, self.position.0);
        match behind {
            Behind::Proof { position: proof, commit } => {
                let what = format!(
                    "kept entries are damaged: commit {} is not intact, and commit {commit} \
                     stands behind it at byte {}",
                    self.next_commit, proof.0
                );
                return Err(OpenError::damaged(self.path, position, &what));
            }
            Behind::Unproven { chunks, entries } => tracing::error!(
                %file, position = at, truncated_at, chunks, entries,
                "the log is damaged; what stands behind was never synced and is lost"
            ),
            Behind::Nothing => tracing::warn!(
                %file, position = at, truncated_at,
                "truncated a commit that was not finished"
            ),
        }
        Ok(())
    }

    /// Looks for intact chunks behind `position`.
    fn behind(&mut self, position: FilePosition) -> io::Result<Behind> {
        let (mut chunks, mut entries) = (0, 0);
        let mut from = position + 1;
        while let Some(at) = self.buffer.find_magic(from)? {
            from = at + 1;
            let ScanItem::Chunk(found, _) = self.buffer.item(at, self.seed)? else { continue };
            let header = found.header;
            let is_later = header.commit > self.next_commit;
            if header.synced && is_later {
                return Ok(Behind::Proof { position: at, commit: header.commit });
            }
            chunks += u64::from(is_later);
            entries += u64::from(is_later) * u64::from(header.count);
            from = at + found.bytes();
        }
        Ok(if chunks == 0 { Behind::Nothing } else { Behind::Unproven { chunks, entries } })
    }
}

/// What the next chunk must say of itself.
struct NextChunk {
    commit: u64,
    index: usize,
    base: Offset,
}

impl NextChunk {
    fn matches(&self, found: &FoundChunk) -> bool {
        let header = &found.header;
        header.commit == self.commit
            && header.index as usize == self.index
            && header.base == self.base
    }
}

impl Seen {
    fn new(content: Content, found: &FoundChunk, position: FilePosition) -> Self {
        let header = &found.header;
        let location = ChunkRef {
            position,
            base: header.base,
            base_line: header.base_line,
            bytes: found.bytes() as u32,
            count: header.count,
        };
        Self { content, location, previous: header.previous, time: header.time }
    }
}

fn end_of(seen: &Seen) -> Offset {
    seen.location.end()
}
