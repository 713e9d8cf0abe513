//! Reads: looks a place up in the catalog, then reads files without holding it.
//!
//! Retention may remove a segment between the two. The file is then not found, and the read
//! looks again: by then the catalog says that those entries are gone, and a gap is returned. What is
//! damaged is a gap too, and the read goes on behind it.

use std::sync::Arc;

use super::collected::CollectedBlocks;
use super::hidden::Hidden;
use super::locate::{
    LineLocation, LogRange, ScanStep, SegmentChunks, TaskStep, forgotten_gap, locate_line,
    next_step_of_all, next_step_of_task, scan_start,
};
use super::open_files::OpenFiles;
use super::scan::Scan;
use super::segment_files::{Failure, ReadChunk, SegmentFiles, failed, io_failed};
use super::spans::{ChunkSource, FoundSpan, IndexedSpans, ResidentSpans, Spans, chunk_of_line};
use crate::domain::{LineNumber, Offset, Scope, TaskId};
use crate::store::catalog::Catalog;
use crate::store::format::{FIRST_CHUNK, FilePosition, ScanBuffer, Trim};
use crate::store::log::{Read, ReadError};
use crate::store::shared::StoreShared;
use crate::store::task_index::IndexError;

/// What a scan in store order reads at once, at most.
const MAX_READ_AHEAD_BYTES: usize = 1024 * 1024;

/// Reads what is committed.
#[derive(Debug)]
pub(in crate::store) struct Reader {
    shared: Arc<StoreShared>,
    files: SegmentFiles,
}

impl Reader {
    /// A reader that keeps up to `index_cache_bytes` of indexes.
    pub(in crate::store) fn new(
        shared: Arc<StoreShared>,
        files: Arc<OpenFiles>,
        index_cache_bytes: usize,
    ) -> Self {
        let files = SegmentFiles::new(Arc::clone(&shared), files, index_cache_bytes);
        Self { shared, files }
    }

    /// Reads entries in `scope` from `from` on; see [`crate::store::Log::read`].
    pub(in crate::store) fn read(
        &self,
        scope: &Scope,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Read, ReadError> {
        let mut collected = CollectedBlocks::new(from.max(Offset::FIRST), max_bytes);
        let wanted = match scope {
            Scope::Task(task) => Wanted::Task(task),
            Scope::All => Wanted::All(Box::new(Hidden::now(&self.shared)?)),
        };
        while !collected.is_full() {
            let step = self.next_step(scope, &collected)?;
            if step.gap.is_some_and(|gap| !collected.miss(gap)) {
                break;
            }
            let Some(chunks) = &step.chunks else {
                let is_told = self.doubt_at_end(scope, &mut collected)?;
                return Ok(collected.finish(is_told.then_some(step.tail)));
            };
            let before = collected.next;
            let outcome = match &wanted {
                Wanted::Task(task) => self.read_chunks(chunks, task, step.trim, &mut collected),
                Wanted::All(hidden) => self.scan(chunks, step.data_end, hidden, &mut collected),
            };
            match outcome {
                Ok(()) if collected.has_moved(before) => {}
                Ok(()) => return Err(failed(&chunks.segment, "its index leads nowhere")),
                Err(Failure::Gone) => {}
                Err(Failure::Read(error)) => return Err(error),
            }
        }
        Ok(collected.finish(None))
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
                    Ok(TaskStep::end(forgotten_gap(log, from, deleted_to)))
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
        let (gap, trim) = (step.gap, step.trim);
        Some(ScanStep { gap, chunks, trim, data_end: catalog.active_end, tail: log.tail })
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
        let (deleted_to, trim) = (catalog.deletions.of(id), catalog.trims.of(id));
        drop(catalog);
        let Some(index) = self.shared.index.as_ref().filter(|_| deleted_to.is_none()) else {
            return Ok((log, look(log, AnySpans::Unknown { deleted_to })?));
        };
        let reader = &index.reader()?;
        let spans = IndexedSpans { reader, task: id.as_str(), start: log.start, trim };
        Ok((log, look(log, AnySpans::Indexed(spans))?))
    }

    /// Reads a task's chunks of one segment.
    fn read_chunks(
        &self,
        SegmentChunks { segment, source, last, .. }: &SegmentChunks,
        task: &TaskId,
        trim: Option<Trim>,
        collected: &mut CollectedBlocks,
    ) -> Result<(), Failure> {
        let file = self.files.file(segment)?;
        let loaded;
        let chunks = match (source, &file) {
            (ChunkSource::Chunks(chunks), _) => &chunks[..],
            (ChunkSource::Index(at), Some(file)) => {
                loaded = self.files.index(file, segment, Some(task), *at)?;
                &loaded[..]
            }
            (ChunkSource::Index(_), None) => &[],
        };
        let start = chunks.partition_point(|chunk| chunk.end() <= collected.next);
        for (at, chunk) in chunks.iter().enumerate().skip(start) {
            if collected.is_full() {
                return Ok(());
            }
            if let Some(trim) = trim.filter(|trim| trim.hides(chunk.base)) {
                collected.miss(trim.gap(collected.next));
                continue;
            }
            let read = match &file {
                Some(file) => self.files.chunk(file, segment, chunk)?,
                None => None,
            };
            let Some(read) = read else {
                let lines = chunks.get(at + 1).map(|next| next.base_line.0 - chunk.base_line.0);
                let last = Offset(chunk.end().0 - 1);
                collected.miss(collected.damaged_up_to(last, lines));
                continue;
            };
            // Chunks of it that the index does not have stood before this one.
            if let Some(previous) = read.previous {
                let hole = collected.damaged_up_to(previous, None);
                let base = Some(read.block.base);
                if !collected.miss(hole) || !self.doubt(previous, base, collected) {
                    return Ok(());
                }
            }
            collected.push(read.block);
        }
        if let Some(last) = last.filter(|_| !collected.is_full()) {
            collected.miss(collected.damaged_up_to(last, None));
        }
        Ok(())
    }

    /// Tells where entries of a task may be lost between `previous` and the chunk that begins with `base`,
    /// or the end; false where blocks come before that.
    fn doubt(
        &self,
        previous: Offset,
        base: Option<Offset>,
        collected: &mut CollectedBlocks,
    ) -> bool {
        self.shared.damage.lost.iter().all(|lost| {
            let gap = lost.doubt(previous, collected.next, base);
            gap.is_none_or(|gap| collected.miss(gap))
        })
    }

    /// The same at the end of a task.
    fn doubt_at_end(
        &self,
        scope: &Scope,
        collected: &mut CollectedBlocks,
    ) -> Result<bool, ReadError> {
        let Scope::Task(task) = scope else { return Ok(true) };
        if self.shared.damage.lost.is_empty() {
            return Ok(true);
        }
        let (_, last) = self.with_spans(task, |_, spans| match spans {
            AnySpans::Resident(spans) => spans.last(),
            AnySpans::Indexed(spans) => spans.last(),
            AnySpans::Unknown { .. } => Ok(None),
        })?;
        Ok(last.is_none_or(|last| self.doubt(last, None, collected)))
    }

    /// Reads whatever comes in one segment, in store order.
    fn scan(
        &self,
        SegmentChunks { segment, source, last, .. }: &SegmentChunks,
        data_end: FilePosition,
        hidden: &Hidden,
        collected: &mut CollectedBlocks,
    ) -> Result<(), Failure> {
        if let Some(file) = self.files.file(segment)? {
            let start = match source {
                ChunkSource::Chunks(chunks) => {
                    chunks.first().map_or(FIRST_CHUNK, |chunk| chunk.position)
                }
                ChunkSource::Index(at) => {
                    let sparse = self.files.index(&file, segment, None, *at)?;
                    scan_start(&sparse, collected.next)
                }
            };
            let length = file.metadata().map_err(|error| io_failed(segment, &error))?.len();
            let read_ahead = collected.max_bytes.min(MAX_READ_AHEAD_BYTES);
            let buffer = ScanBuffer::new(&file, data_end.min(FilePosition(length)), read_ahead);
            let seed = self.files.seed(segment);
            let files = &self.files;
            let mut scan = Scan { files, segment, seed, hidden, buffer, position: start };
            scan.run(collected)?;
        }
        if let Some(last) = last.filter(|_| !collected.is_full()) {
            collected.miss(self.files.with_reason(collected.damaged_up_to(last, None)));
        }
        Ok(())
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
                AnySpans::Unknown { .. } => Ok(LineLocation::unknown(log)),
            })?;
            let Some((line, span)) = found.line else {
                return Ok(found.task_end.min(log.tail));
            };
            if let Some(lost_at) = found.lost_at {
                return Ok(lost_at);
            }
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
        chunks: &SegmentChunks,
        task: &TaskId,
        line: LineNumber,
    ) -> Result<Offset, Failure> {
        let SegmentChunks { segment, source, .. } = chunks;
        let Some(file) = self.files.file(segment)? else { return Ok(chunks.first) };
        let chunk = match source {
            ChunkSource::Chunks(chunks) => chunks.first().copied(),
            ChunkSource::Index(at) => {
                chunk_of_line(&self.files.index(&file, segment, Some(task), *at)?, line)
            }
        };
        // Where it is damaged, reading from here on tells so.
        let Some(chunk) = chunk else { return Ok(chunks.first) };
        let Some(ReadChunk { block, .. }) = self.files.chunk(&file, segment, &chunk)? else {
            return Ok(chunk.base);
        };
        let found = block.entries().find(|entry| entry.line == Some(line.0));
        Ok(found.map_or(block.end(), |entry| entry.offset))
    }
}

/// What is read.
enum Wanted<'a> {
    Task(&'a TaskId),
    All(Box<Hidden>),
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
    let FoundSpan { first, last, chunks: source, .. } = span;
    // Of the active segment only some chunks were taken.
    let last = matches!(source, ChunkSource::Index(_)).then_some(last);
    Some(SegmentChunks { segment, source, first, last })
}
