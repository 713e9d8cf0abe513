//! Reads: looks a place up in the directory, then reads files without holding it.
//!
//! Retention may remove a segment between the two. The file is then not found, and the read
//! looks again: by then the directory says that those entries are gone, and a gap is stats.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::StoreShared;
use super::chunk::{self, ChecksumSeed};
use super::directory::Segment;
use super::footer;
use super::index::{ChunkRef, IndexAt, IndexKey, decode_index};
use super::locate::{
    ChunkSource, ReadStep, chunk_of_line, locate_line, next_step_of_all, next_step_of_task,
    scan_start,
};
use super::log::{Read, ReadError};
use super::scan_buffer::{ScanBuffer, ScanItem};
use super::segment::HEADER_BYTES;
use super::task::Task;
use crate::domain::{Block, Offset, TaskId};
use crate::domain::{Gap, Scope};

/// What a scan in store order reads at once, at most.
const MAX_READ_AHEAD_BYTES: usize = 1024 * 1024;

/// Why a read of one place gave nothing.
enum Failure {
    /// Retention took the file away meanwhile.
    Gone,
    /// All else.
    Read(ReadError),
}

/// What a read has gathered.
struct Gathered {
    blocks: Vec<Arc<Block>>,
    bytes: usize,
    max_bytes: usize,
    next: u64,
}

impl Gathered {
    fn is_full(&self) -> bool {
        !self.blocks.is_empty() && self.bytes >= self.max_bytes
    }

    fn push(&mut self, block: Block) {
        self.bytes += block.payload.len();
        self.next = block.end().0;
        self.blocks.push(Arc::new(block));
    }
}

impl StoreShared {
    /// Reads entries in `scope` from `from` on; see [`super::Log::read`].
    pub(super) fn read(
        &self,
        scope: &Scope,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Read, ReadError> {
        let from = from.0.max(Offset::FIRST.0);
        if self.memory {
            return Ok(self.read_nothing(scope, from));
        }
        let mut gathered = Gathered { blocks: Vec::new(), bytes: 0, max_bytes, next: from };
        let mut gap = None;
        while !gathered.is_full() {
            let step = self.step(scope, &gathered);
            match step.gap {
                Some(_) if !gathered.blocks.is_empty() => break,
                found => gap = gap_or_earlier(found, gap, &gathered),
            }
            let Some((segment, source)) = &step.place else {
                gathered.next = gathered.next.max(step.tail);
                break;
            };
            let before = gathered.next;
            let outcome = match scope {
                Scope::Task(task) => self.read_chunks((segment, source), task, &mut gathered),
                Scope::All => self.scan((segment, source), step.data_end, &mut gathered),
            };
            match outcome {
                Ok(()) if gathered.next > before => {}
                Ok(()) => return Err(failed(segment, "its index leads nowhere")),
                Err(Failure::Gone) => {}
                Err(Failure::Read(error)) => return Err(error),
            }
        }
        Ok(Read { gap, blocks: gathered.blocks, next: Offset(gathered.next) })
    }

    fn step(&self, scope: &Scope, gathered: &Gathered) -> ReadStep {
        let directory = self.directory();
        match scope {
            Scope::Task(task) => {
                next_step_of_task(&directory, task, (gathered.next, gathered.max_bytes))
            }
            Scope::All => next_step_of_all(&directory, gathered.next),
        }
    }

    /// Without files there is nothing to read, and all of it is a gap.
    fn read_nothing(&self, scope: &Scope, from: u64) -> Read {
        let directory = self.directory();
        let task = |task| directory.tasks.get(task);
        let (last, lines) = match scope {
            Scope::All => (directory.tail - 1, None),
            Scope::Task(id) => {
                let lines = task(id).map(|task| task.next_line() - 1);
                (task(id).map_or(0, Task::last), lines.filter(|_| from == Offset::FIRST.0))
            }
        };
        let gap = (from <= last).then_some(Gap {
            from: Offset(from),
            to: Offset(last),
            lines,
            reason: "memory",
        });
        Read { gap, blocks: Vec::new(), next: Offset(from.max(directory.tail)) }
    }

    /// Reads a task's chunks of one segment.
    fn read_chunks(
        &self,
        (segment, source): (&Arc<Segment>, &ChunkSource),
        task: &TaskId,
        gathered: &mut Gathered,
    ) -> Result<(), Failure> {
        let file = self.file(segment)?;
        let loaded;
        let chunks = match source {
            ChunkSource::Chunks(chunks) => &chunks[..],
            ChunkSource::Index(at) => {
                loaded = self.index(&file, segment, (Some(task.clone()), *at))?;
                &loaded[..]
            }
        };
        let start = chunks.partition_point(|chunk| chunk.end() <= gathered.next);
        for chunk in &chunks[start..] {
            gathered.push(self.read_chunk(&file, segment, chunk)?);
            if gathered.is_full() {
                break;
            }
        }
        Ok(())
    }

    /// Reads whatever comes in one segment, in store order.
    fn scan(
        &self,
        (segment, source): (&Arc<Segment>, &ChunkSource),
        data_end: u64,
        gathered: &mut Gathered,
    ) -> Result<(), Failure> {
        let file = self.file(segment)?;
        let mut position = match source {
            ChunkSource::Chunks(chunks) => {
                chunks.first().map_or(HEADER_BYTES, |chunk| chunk.position)
            }
            ChunkSource::Index(at) => {
                let sparse = self.index(&file, segment, (None, *at))?;
                scan_start(&sparse, gathered.next)
            }
        };
        let seed = ChecksumSeed::new(self.epoch.0, segment.base);
        let read_ahead = gathered.max_bytes.min(MAX_READ_AHEAD_BYTES);
        let mut window = ScanBuffer::new(&file, data_end, read_ahead);
        while !gathered.is_full() {
            let place = window.place(position, seed).map_err(|error| io_failed(segment, &error))?;
            let ScanItem::Chunk(found, bytes) = place else {
                let at_end = matches!(place, ScanItem::End);
                return if at_end { Ok(()) } else { Err(damaged(segment, position)) };
            };
            let header = found.header;
            if header.base + u64::from(header.count) > gathered.next && header.count > 0 {
                let block = chunk::decode_block(bytes, &found);
                gathered.push(block.ok_or_else(|| damaged(segment, position))?);
            }
            position += found.bytes() as u64;
        }
        Ok(())
    }

    fn read_chunk(
        &self,
        file: &File,
        segment: &Segment,
        chunk: &ChunkRef,
    ) -> Result<Block, Failure> {
        let seed = ChecksumSeed::new(self.epoch.0, segment.base);
        let end = chunk.position + u64::from(chunk.bytes);
        let mut window = ScanBuffer::new(file, end, 0);
        let place = window.bytes(chunk.position, chunk.bytes as usize);
        let bytes = place.map_err(|error| io_failed(segment, &error))?;
        let found = chunk::decode_header(bytes, seed, chunk.position);
        let block = found.and_then(|found| chunk::decode_block(bytes, &found));
        block.ok_or_else(|| damaged(segment, chunk.position))
    }

    fn file(&self, segment: &Segment) -> Result<Arc<File>, Failure> {
        self.files.get(segment).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if self.is_forgotten(segment) => Failure::Gone,
            _ => io_failed(segment, &error),
        })
    }

    fn is_forgotten(&self, segment: &Segment) -> bool {
        segment.base < self.directory().log_start_offset()
    }

    /// An index of a sealed segment: a task's, or the sparse one.
    fn index(
        &self,
        file: &File,
        segment: &Segment,
        (task, at): (Option<TaskId>, IndexAt),
    ) -> Result<Arc<[ChunkRef]>, Failure> {
        let key: IndexKey = (segment.base, task);
        if let Some(index) = self.indexes.get(&key) {
            return Ok(index);
        }
        let part = footer::read_part(file, at).map_err(|error| io_failed(segment, &error))?;
        let index = part.and_then(|part| decode_index(&part));
        let index: Arc<[_]> = index.ok_or_else(|| damaged(segment, at.position))?.into();
        self.indexes.put(key, index.clone());
        Ok(index)
    }

    /// The offset of `line` of `task`; see [`super::Log::locate`].
    pub(super) fn locate(&self, task: &TaskId, line: u64) -> Result<Offset, ReadError> {
        loop {
            let (end, place) = locate_line(&self.directory(), task, line);
            let Some((segment, source, line)) = place.filter(|_| !self.memory) else {
                return Ok(Offset(end));
            };
            match self.locate_in((&segment, &source), task, line) {
                Ok(found) => return Ok(found),
                Err(Failure::Gone) => {}
                Err(Failure::Read(error)) => return Err(error),
            }
        }
    }

    fn locate_in(
        &self,
        (segment, source): (&Arc<Segment>, &ChunkSource),
        task: &TaskId,
        line: u64,
    ) -> Result<Offset, Failure> {
        let file = self.file(segment)?;
        let chunk = match source {
            ChunkSource::Chunks(chunks) => chunks.first().copied(),
            ChunkSource::Index(at) => {
                chunk_of_line(&self.index(&file, segment, (Some(task.clone()), *at))?, line)
            }
        };
        let chunk =
            chunk.ok_or_else(|| Failure::Read(failed(segment, "its index lacks a line")))?;
        let block = self.read_chunk(&file, segment, &chunk)?;
        let found = block.entries().find(|entry| entry.line == Some(line));
        Ok(found.map_or(block.end(), |entry| entry.offset))
    }
}

/// The gap of a read that has no block yet; one that was found before stays.
fn gap_or_earlier(found: Option<Gap>, earlier: Option<Gap>, gathered: &Gathered) -> Option<Gap> {
    if gathered.blocks.is_empty() { found } else { earlier }
}

fn failed(segment: &Segment, what: &str) -> ReadError {
    ReadError::Failed(format!("{}: {what}", segment.path.display()).into())
}

fn io_failed(segment: &Segment, error: &io::Error) -> Failure {
    Failure::Read(failed(segment, &error.to_string()))
}

fn damaged(segment: &Segment, position: u64) -> Failure {
    Failure::Read(failed(segment, &format!("damaged at byte {position}")))
}
