//! Where the entries of one task stand: in the catalog while the task is resident, otherwise in the
//! task index.

use crate::domain::{LineNumber, Offset};
use crate::store::catalog::{Span, Task};
use crate::store::format::{ChunkRef, IndexAt, Trim};
use crate::store::task_index::{IndexError, IndexReader, SpanRow};

/// Where entries stand in one segment.
pub(super) enum ChunkSource {
    /// In these chunks.
    Chunks(Vec<ChunkRef>),
    /// In those of an index in the footer.
    Index(IndexAt),
}

/// What one segment has of the task.
pub(super) struct FoundSpan {
    /// The segment's first offset.
    pub(super) segment: Offset,
    pub(super) first: Offset,
    pub(super) last: Offset,
    pub(super) first_line: LineNumber,
    /// The task's entry before `first`; `None` where there never was one.
    pub(super) previous: Option<Offset>,
    pub(super) chunks: ChunkSource,
}

/// How the spans of one task are looked up.
pub(super) trait Spans {
    /// The first one.
    ///
    /// # Errors
    /// When the index cannot be read; this holds for all that follow.
    fn first(&self) -> Result<Option<FoundSpan>, IndexError>;

    /// The task's last entry; `None` where there is no such task.
    fn last(&self) -> Result<Option<Offset>, IndexError>;

    /// The one that holds `offset`, or the first one after it, with about `max_bytes` of chunks.
    fn at(&self, offset: Offset, max_bytes: usize) -> Result<Option<FoundSpan>, IndexError>;

    /// The one that holds `line`, or the first one after it.
    fn of_line(&self, line: LineNumber) -> Result<Option<FoundSpan>, IndexError>;

    /// The offset after the last one before `segment`; `None` where that one is the first.
    fn end_before(&self, segment: Offset) -> Result<Option<Offset>, IndexError>;

    /// The end of what the task had before and that was deleted.
    fn deleted_to(&self) -> Result<Option<Offset>, IndexError>;

    /// What the limit on the task's bytes has taken.
    fn trim(&self) -> Result<Option<Trim>, IndexError>;
}

/// The spans of a resident task.
pub(super) struct ResidentSpans<'a>(pub(super) &'a Task);

impl ResidentSpans<'_> {
    fn found(&self, span: &Span, chunks: impl FnOnce(&[ChunkRef]) -> Vec<ChunkRef>) -> FoundSpan {
        FoundSpan {
            segment: span.segment.base,
            first: span.first,
            last: span.last,
            first_line: span.first_line,
            previous: span.previous,
            chunks: match span.index {
                Some(index) => ChunkSource::Index(index),
                None => ChunkSource::Chunks(chunks(&self.0.chunks)),
            },
        }
    }
}

impl Spans for ResidentSpans<'_> {
    fn first(&self) -> Result<Option<FoundSpan>, IndexError> {
        Ok(self.0.spans.first().map(|span| self.found(span, |_| Vec::new())))
    }

    fn last(&self) -> Result<Option<Offset>, IndexError> {
        Ok(self.0.last())
    }

    fn at(&self, offset: Offset, max_bytes: usize) -> Result<Option<FoundSpan>, IndexError> {
        let at = self.0.spans.partition_point(|span| span.last < offset);
        let span = self.0.spans.get(at);
        Ok(span.map(|span| self.found(span, |chunks| enough(chunks, offset, max_bytes))))
    }

    fn of_line(&self, line: LineNumber) -> Result<Option<FoundSpan>, IndexError> {
        let at = self.0.spans.partition_point(|span| span.end_line() <= line);
        let span = self.0.spans.get(at);
        Ok(span.map(|span| {
            let line = line.max(span.first_line);
            self.found(span, |chunks| chunk_of_line(chunks, line).into_iter().collect())
        }))
    }

    fn end_before(&self, segment: Offset) -> Result<Option<Offset>, IndexError> {
        let at = self.0.spans.partition_point(|span| span.segment.base < segment);
        Ok(at.checked_sub(1).map(|before| self.0.spans[before].last.next()))
    }

    fn deleted_to(&self) -> Result<Option<Offset>, IndexError> {
        Ok(self.0.deleted_to)
    }

    fn trim(&self) -> Result<Option<Trim>, IndexError> {
        Ok(self.0.trim)
    }
}

/// Chunks from `from` on that hold at least `bytes`.
fn enough(chunks: &[ChunkRef], from: Offset, bytes: usize) -> Vec<ChunkRef> {
    let start = chunks.partition_point(|chunk| chunk.end() <= from);
    let mut stored = 0;
    let is_wanted = |chunk: &&ChunkRef| {
        let goes_on = stored < bytes.max(1);
        stored += chunk.bytes as usize;
        goes_on
    };
    chunks[start..].iter().take_while(is_wanted).copied().collect()
}

/// The chunk that holds `line`: the last one that does not begin behind it.
pub(super) fn chunk_of_line(chunks: &[ChunkRef], line: LineNumber) -> Option<ChunkRef> {
    let after = chunks.partition_point(|chunk| chunk.base_line <= line);
    after.checked_sub(1).map(|at| chunks[at])
}

/// The spans of a task in the index, of segments that begin at or after `start`.
pub(super) struct IndexedSpans<'a> {
    pub(super) reader: &'a IndexReader,
    pub(super) task: &'a str,
    /// The store's first offset: retention may be ahead of the index.
    pub(super) start: Offset,
    /// The last trim, where the index may lack it.
    pub(super) trim: Option<Trim>,
}

impl Spans for IndexedSpans<'_> {
    fn first(&self) -> Result<Option<FoundSpan>, IndexError> {
        let first = self.reader.spans_from(self.task, self.start, 1)?.pop();
        Ok(first.as_ref().map(found_row))
    }

    fn last(&self) -> Result<Option<Offset>, IndexError> {
        let last = self.reader.last_span(self.task)?;
        Ok(last.filter(|span| span.segment >= self.start).map(|span| span.last))
    }

    fn at(&self, offset: Offset, _max_bytes: usize) -> Result<Option<FoundSpan>, IndexError> {
        let span = self.reader.span_at(self.task, self.start, offset)?;
        Ok(span.as_ref().map(found_row))
    }

    fn of_line(&self, line: LineNumber) -> Result<Option<FoundSpan>, IndexError> {
        let span = self.reader.span_of_line(self.task, self.start, line)?;
        Ok(span.as_ref().map(found_row))
    }

    fn end_before(&self, segment: Offset) -> Result<Option<Offset>, IndexError> {
        let before = self.reader.span_before(self.task, self.start, segment)?;
        Ok(before.map(|span| span.last.next()))
    }

    fn deleted_to(&self) -> Result<Option<Offset>, IndexError> {
        Ok(self.reader.deletion(self.task)?.map(|deletion| deletion.end))
    }

    fn trim(&self) -> Result<Option<Trim>, IndexError> {
        match self.trim {
            Some(trim) => Ok(Some(trim)),
            None => self.reader.trim(self.task),
        }
    }
}

fn found_row(row: &SpanRow) -> FoundSpan {
    FoundSpan {
        segment: row.segment,
        first: row.first,
        last: row.last,
        first_line: row.first_line,
        previous: row.previous,
        chunks: ChunkSource::Index(row.index),
    }
}
