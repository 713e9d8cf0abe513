//! What the index has of a task, and how it is encoded: with `postcard`.

use serde::{Deserialize, Serialize};

use crate::domain::{LineNumber, Offset, ToldEnd, WorkerCounts};
use crate::store::format::{IndexAt, Millis, TaskRecord, Trim, WorkerFacts, WorkerRecord};

/// What one sealed segment has of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct SpanRow {
    /// The segment's first offset.
    pub(in crate::store) segment: Offset,
    pub(in crate::store) first: Offset,
    pub(in crate::store) last: Offset,
    pub(in crate::store) first_line: LineNumber,
    pub(in crate::store) lines: u64,
    pub(in crate::store) bytes: u64,
    pub(in crate::store) first_time: Millis,
    pub(in crate::store) last_time: Millis,
    /// The task's entry before `first`; `None` where there never was one.
    pub(in crate::store) previous: Option<Offset>,
    /// Where the task's index stands in the segment.
    pub(in crate::store) index: IndexAt,
}

impl SpanRow {
    /// A span as the footer of the segment that begins with `segment` has it.
    pub(in crate::store) fn of_record(segment: Offset, record: &TaskRecord<'_>) -> Self {
        Self {
            segment,
            first: record.first,
            last: record.last,
            first_line: record.first_line,
            lines: record.lines,
            bytes: record.bytes,
            first_time: record.first_time,
            last_time: record.last_time,
            previous: record.previous,
            index: record.index,
        }
    }

    /// The line number after its last line.
    pub(in crate::store) fn end_line(&self) -> LineNumber {
        LineNumber(self.first_line.0 + self.lines)
    }
}

/// What is known about a task beside its spans and workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(in crate::store) struct TaskRow {
    /// Its last entry.
    pub(in crate::store) last: Offset,
    pub(in crate::store) lost_lines: u64,
    /// The ordinal that its next worker will get.
    pub(in crate::store) next_ordinal: u32,
    pub(in crate::store) counts: WorkerCounts,
    pub(in crate::store) told_end: Option<ToldEnd>,
}

/// The last deletion of a task, while its segment is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct DeletionRow {
    /// What the task had before this offset is deleted.
    pub(in crate::store) end: Offset,
    /// The first offset of the segment that has the tombstone.
    pub(in crate::store) segment: Offset,
}

/// The last trim of a task, while its segment is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct TrimRow {
    pub(in crate::store) trim: Trim,
    /// The first offset of the segment that has it.
    pub(in crate::store) segment: Offset,
}

/// A worker with its own copy of every text.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::store) struct WorkerRow(Vec<u8>);

impl WorkerRow {
    pub(super) fn new(encoded: &[u8]) -> Self {
        Self(encoded.to_vec())
    }

    /// What it says; `None` where it is damaged.
    pub(in crate::store) fn read(&self) -> Option<(WorkerRecord<'_>, WorkerFacts)> {
        decode(&self.0)
    }
}

pub(super) fn encode(row: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(row).expect("rows always encode into memory")
}

pub(super) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    postcard::from_bytes(bytes).ok()
}
