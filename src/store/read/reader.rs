//! Reads: looks a place up in the catalog, then reads files without holding it.
//!
//! Retention may remove a segment between the two. The file is then not found, and the read
//! looks again: by then the catalog says that those entries are gone, and a gap is returned.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::collected::CollectedBlocks;
use super::deleted::KnownDeletions;
use super::index_cache::{IndexCache, IndexKey};
use super::locate::{
    LineLocation, LogRange, ScanStep, SegmentChunks, TaskStep, forgotten_gap, locate_line,
    next_step_of_all, next_step_of_task, scan_start,
};
use super::open_files::OpenFiles;
use super::spans::{ChunkSource, FoundSpan, IndexedSpans, ResidentSpans, chunk_of_line};
use crate::domain::{Block, LineNumber, Offset, Scope, TaskId};
use crate::store::catalog::{Catalog, Segment};
use crate::store::format::{
    ChecksumSeed, ChunkRef, FIRST_CHUNK, FilePosition, IndexAt, ScanBuffer, ScanItem, decode_block,
    decode_header, decode_index, read_footer_part,
};
use crate::store::log::{Read, ReadError};
use crate::store::shared::StoreShared;
use crate::store::task_index::IndexError;

/// What a scan in store order reads at once, at most.
const MAX_READ_AHEAD_BYTES: usize = 1024 * 1024;

/// Why a read of one place gave nothing.
enum Failure {
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

/// Reads what is committed.
#[derive(Debug)]
pub(in crate::store) struct Reader {
    shared: Arc<StoreShared>,
    files: Arc<OpenFiles>,
    indexes: IndexCache,
}

impl Reader {
    /// A reader that keeps up to `index_cache_bytes` of indexes.
    pub(in crate::store) fn new(
        shared: Arc<StoreShared>,
        files: Arc<OpenFiles>,
        index_cache_bytes: usize,
    ) -> Self {
        Self { shared, files, indexes: IndexCache::new(index_cache_bytes) }
    }

    /// Reads entries in `scope` from `from` on; see [`crate::store::Log::read`].
    pub(in crate::store) fn read(
        &self,
        scope: &Scope,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Read, ReadError> {
        let from = from.max(Offset::FIRST);
        let mut collected = CollectedBlocks::new(from, max_bytes);
        let deletions = match scope {
            Scope::Task(_) => None,
            Scope::All => Some(KnownDeletions::now(&self.shared)?),
        };
        while !collected.is_full() {
            let step = self.next_step(scope, &collected)?;
            match step.gap {
                Some(_) if !collected.is_empty() => break,
                found if collected.is_empty() => collected.gap = found,
                _ => {}
            }
            let Some(chunks) = &step.chunks else {
                collected.next = collected.next.max(step.tail);
                break;
            };
            let before = collected.next;
            let outcome = match (scope, &deletions) {
                (Scope::Task(task), _) => self.read_chunks(chunks, task, &mut collected),
                (Scope::All, deletions) => {
                    self.scan(chunks, step.data_end, deletions.as_ref(), &mut collected)
                }
            };
            match outcome {
                Ok(()) if collected.is_cut || collected.next > before => {}
                Ok(()) => return Err(failed(&chunks.segment, "its index leads nowhere")),
                Err(Failure::Gone) => {}
                Err(Failure::Read(error)) => return Err(error),
            }
        }
        let CollectedBlocks { gap, deleted, blocks, next, .. } = collected;
        Ok(Read { gap: deleted.or(gap), blocks, next })
    }

    fn next_step(&self, scope: &Scope, collected: &CollectedBlocks) -> Result<ScanStep, ReadError> {
        match scope {
            Scope::Task(task) => self.next_step_of_task(task, collected),
            Scope::All => Ok(next_step_of_all(&self.shared.catalog(), collected.next)),
        }
    }

    /// Of a task that is not resident, the index has everything before the tail that is taken here.
    fn next_step_of_task(
        &self,
        id: &TaskId,
        collected: &CollectedBlocks,
    ) -> Result<ScanStep, ReadError> {
        let (from, max_bytes) = (collected.next, collected.max_bytes);
        loop {
            let (log, step) = self.with_spans(id, |log, spans| match spans {
                AnySpans::Resident(spans) => next_step_of_task(log, &spans, from, max_bytes),
                AnySpans::Indexed(spans) => next_step_of_task(log, &spans, from, max_bytes),
                AnySpans::Unknown { deleted_to } => {
                    Ok(TaskStep { gap: forgotten_gap(log, from, deleted_to), span: None })
                }
            })?;
            // None where retention took the segment meanwhile: look again.
            if let Some(step) = self.scan_step(log, step) {
                return Ok(step);
            }
        }
    }

    fn scan_step(&self, log: LogRange, step: TaskStep) -> Option<ScanStep> {
        let catalog = self.shared.catalog();
        let chunks = match step.span {
            Some(span) => Some(chunks_of(&catalog, span)?),
            None => None,
        };
        Some(ScanStep { gap: step.gap, chunks, data_end: catalog.active_end, tail: log.tail })
    }

    /// What `look` finds among the spans of `id`.
    fn with_spans<T>(
        &self,
        id: &TaskId,
        look: impl FnOnce(LogRange, AnySpans<'_>) -> Result<T, IndexError>,
    ) -> Result<(LogRange, T), ReadError> {
        let catalog = self.shared.catalog();
        let log = LogRange::of(&catalog);
        if let Some(task) = catalog.tasks.get(id) {
            return Ok((log, look(log, AnySpans::Resident(ResidentSpans(task)))?));
        }
        let deleted_to = catalog.deletions.end_of(id);
        drop(catalog);
        let Some(index) = self.shared.index.as_ref().filter(|_| deleted_to.is_none()) else {
            return Ok((log, look(log, AnySpans::Unknown { deleted_to })?));
        };
        let reader = &index.reader()?;
        let spans = IndexedSpans { reader, task: id.as_str(), start: log.start };
        Ok((log, look(log, AnySpans::Indexed(spans))?))
    }

    /// Reads a task's chunks of one segment.
    fn read_chunks(
        &self,
        SegmentChunks { segment, source }: &SegmentChunks,
        task: &TaskId,
        collected: &mut CollectedBlocks,
    ) -> Result<(), Failure> {
        let file = self.file(segment)?;
        let loaded;
        let chunks = match source {
            ChunkSource::Chunks(chunks) => &chunks[..],
            ChunkSource::Index(at) => {
                loaded = self.index(&file, segment, Some(task), *at)?;
                &loaded[..]
            }
        };
        let start = chunks.partition_point(|chunk| chunk.end() <= collected.next);
        for chunk in &chunks[start..] {
            collected.push(self.read_chunk(&file, segment, chunk)?);
            if collected.is_full() {
                break;
            }
        }
        Ok(())
    }

    /// Reads whatever comes in one segment, in store order.
    fn scan(
        &self,
        SegmentChunks { segment, source }: &SegmentChunks,
        data_end: FilePosition,
        deletions: Option<&KnownDeletions>,
        collected: &mut CollectedBlocks,
    ) -> Result<(), Failure> {
        let file = self.file(segment)?;
        let mut position = match source {
            ChunkSource::Chunks(chunks) => {
                chunks.first().map_or(FIRST_CHUNK, |chunk| chunk.position)
            }
            ChunkSource::Index(at) => {
                let sparse = self.index(&file, segment, None, *at)?;
                scan_start(&sparse, collected.next)
            }
        };
        let seed = self.seed(segment);
        let read_ahead = collected.max_bytes.min(MAX_READ_AHEAD_BYTES);
        let mut buffer = ScanBuffer::new(&file, data_end, read_ahead);
        while !collected.is_full() {
            let item = buffer.item(position, seed).map_err(|error| io_failed(segment, &error))?;
            let ScanItem::Chunk(found, bytes) = item else {
                let is_end = matches!(item, ScanItem::End);
                return if is_end { Ok(()) } else { Err(damaged(segment, position)) };
            };
            let header = found.header;
            if header.end() > collected.next && header.count > 0 {
                let block = decode_block(bytes, &found);
                let block = block.ok_or_else(|| damaged(segment, position))?;
                match deletions {
                    Some(deletions) if deletions.have(&block)? => collected.skip(&block),
                    _ => collected.push(block),
                }
            }
            position = position + found.bytes();
        }
        Ok(())
    }

    fn read_chunk(
        &self,
        file: &File,
        segment: &Segment,
        chunk: &ChunkRef,
    ) -> Result<Block, Failure> {
        let mut buffer = ScanBuffer::new(file, chunk.end_position(), 0);
        let bytes = buffer.bytes(chunk.position, chunk.bytes as usize);
        let bytes = bytes.map_err(|error| io_failed(segment, &error))?;
        let found = decode_header(bytes, self.seed(segment), chunk.position);
        let block = found.and_then(|found| decode_block(bytes, &found));
        block.ok_or_else(|| damaged(segment, chunk.position))
    }

    fn seed(&self, segment: &Segment) -> ChecksumSeed {
        ChecksumSeed::new(self.shared.epoch, segment.base)
    }

    fn file(&self, segment: &Segment) -> Result<Arc<File>, Failure> {
        self.files.get(segment).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if self.is_forgotten(segment) => Failure::Gone,
            _ => io_failed(segment, &error),
        })
    }

    fn is_forgotten(&self, segment: &Segment) -> bool {
        segment.base < self.shared.catalog().log_start_offset()
    }

    /// An index of a sealed segment: a task's, or the sparse one.
    fn index(
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
        let part = read_footer_part(file, at).map_err(|error| io_failed(segment, &error))?;
        let index = part.and_then(|part| decode_index(&part));
        let index: Arc<[_]> = index.ok_or_else(|| damaged(segment, at.position))?.into();
        self.indexes.put(key, index.clone());
        Ok(index)
    }

    /// The offset of `line` of `task`; see [`crate::store::Log::locate`].
    pub(in crate::store) fn locate(
        &self,
        task: &TaskId,
        line: LineNumber,
    ) -> Result<Offset, ReadError> {
        loop {
            let (log, found) = self.with_spans(task, |log, spans| match spans {
                AnySpans::Resident(spans) => locate_line(log, &spans, line),
                AnySpans::Indexed(spans) => locate_line(log, &spans, line),
                AnySpans::Unknown { .. } => Ok(LineLocation { task_end: log.tail, line: None }),
            })?;
            let Some((line, span)) = found.line else {
                return Ok(found.task_end.min(log.tail));
            };
            // Where retention took the segment meanwhile, look again.
            let chunks = chunks_of(&self.shared.catalog(), span);
            let Some(chunks) = chunks else { continue };
            match self.locate_in(&chunks, task, line) {
                Ok(found) => return Ok(found),
                Err(Failure::Gone) => {}
                Err(Failure::Read(error)) => return Err(error),
            }
        }
    }

    fn locate_in(
        &self,
        SegmentChunks { segment, source }: &SegmentChunks,
        task: &TaskId,
        line: LineNumber,
    ) -> Result<Offset, Failure> {
        let file = self.file(segment)?;
        let chunk = match source {
            ChunkSource::Chunks(chunks) => chunks.first().copied(),
            ChunkSource::Index(at) => {
                chunk_of_line(&self.index(&file, segment, Some(task), *at)?, line)
            }
        };
        let chunk =
            chunk.ok_or_else(|| Failure::Read(failed(segment, "its index lacks a line")))?;
        let block = self.read_chunk(&file, segment, &chunk)?;
        let found = block.entries().find(|entry| entry.line == Some(line.0));
        Ok(found.map_or(block.end(), |entry| entry.offset))
    }
}

/// The spans of a task, wherever they are.
enum AnySpans<'a> {
    Resident(ResidentSpans<'a>),
    Indexed(IndexedSpans<'a>),
    /// There is no such task, or no more since it was deleted.
    Unknown {
        deleted_to: Option<Offset>,
    },
}

/// The chunks of a span; `None` where its segment is gone.
fn chunks_of(catalog: &Catalog, span: FoundSpan) -> Option<SegmentChunks> {
    let segment = catalog.segment(span.segment)?.clone();
    Some(SegmentChunks { segment, source: span.chunks })
}

fn failed(segment: &Segment, what: &str) -> ReadError {
    ReadError::Failed(format!("{}: {what}", segment.path.display()).into())
}

fn io_failed(segment: &Segment, error: &io::Error) -> Failure {
    Failure::Read(failed(segment, &error.to_string()))
}

fn damaged(segment: &Segment, position: FilePosition) -> Failure {
    Failure::Read(failed(segment, &format!("damaged at byte {}", position.0)))
}
