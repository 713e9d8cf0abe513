//! What ingest appends to the log: encoded records, grouped by task and worker.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::ids::{TaskId, WorkerId};
use super::summary::WorkerState;

/// How many bits a record's head has for the length of the body.
const LENGTH_BITS: u32 = 28;

/// The longest record body, in bytes.
pub const MAX_BODY_BYTES: usize = (1 << LENGTH_BITS) - 1;

/// What a record is. A number for it is in the record's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A log line, or the first part of a long one; the only kind that gets a line number.
    Log,
    /// A further part of the line before it. All parts of a line follow each other in the log.
    Part,
    /// Lines that were refused or could not be kept; the body has `lines` and `reason`.
    Gap,
    /// A worker's status notification.
    Status(WorkerState),
    /// Somebody told that the task is over; the body may have an `outcome`.
    End,
}

impl Kind {
    /// Even for the first kinds that there were: the head had 29 bits for the length then.
    pub(super) const fn code(self) -> u32 {
        match self {
            Self::Log => 0,
            Self::Part => 1,
            Self::Gap => 2,
            Self::Status(WorkerState::Created) => 4,
            Self::Status(WorkerState::Running) => 6,
            Self::Status(WorkerState::Completed) => 8,
            Self::Status(WorkerState::Failed) => 10,
            Self::Status(WorkerState::Terminated) => 12,
            Self::End => 14,
        }
    }

    pub(super) const fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            0 => Self::Log,
            1 => Self::Part,
            2 => Self::Gap,
            4 => Self::Status(WorkerState::Created),
            6 => Self::Status(WorkerState::Running),
            8 => Self::Status(WorkerState::Completed),
            10 => Self::Status(WorkerState::Failed),
            12 => Self::Status(WorkerState::Terminated),
            14 => Self::End,
            _ => return None,
        })
    }
}

/// Consecutive records, each a head and a body.
///
/// A body is the entry's JSON object without its opening brace and without the
/// members `offset` and `line`, which are known only after the commit.
#[derive(Debug, Clone, Default)]
pub struct Records {
    bytes: BytesMut,
    count: u32,
}

impl Records {
    /// Bytes of a record's head: the kind in the top 4 bits, the body's length below.
    pub const HEAD_BYTES: usize = 4;

    /// Appends one record whose body `write` puts into the buffer; returns what `write` returns.
    ///
    /// # Panics
    /// When the body is longer than [`MAX_BODY_BYTES`]; callers check sizes first.
    pub fn push_with<T>(&mut self, kind: Kind, write: impl FnOnce(&mut BytesMut) -> T) -> T {
        let head_at = self.bytes.len();
        self.bytes.put_u32_le(0);
        let result = write(&mut self.bytes);
        self.write_head(head_at, kind);
        self.count += 1;
        result
    }

    /// Writes the head of the last record, which stands at `head_at`.
    fn write_head(&mut self, head_at: usize, kind: Kind) {
        let body_bytes = self.bytes.len() - head_at - Self::HEAD_BYTES;
        assert!(body_bytes <= MAX_BODY_BYTES, "a record body is {body_bytes} bytes");
        let head = (kind.code() << LENGTH_BITS) | body_bytes as u32;
        self.bytes[head_at..head_at + Self::HEAD_BYTES].copy_from_slice(&head.to_le_bytes());
    }

    /// Appends one record.
    pub fn push(&mut self, kind: Kind, body: &[u8]) {
        self.push_with(kind, |buffer| buffer.extend_from_slice(body));
    }

    /// Whether `next` follows these directly in the same buffer, so that [`Records::append`] copies
    /// nothing.
    pub fn is_followed_by(&self, next: &Self) -> bool {
        self.bytes.as_ptr_range().end == next.bytes.as_ptr()
    }

    /// Appends all of `other`; copies nothing where [`Records::is_followed_by`] holds.
    pub fn append(&mut self, other: Self) {
        self.bytes.unsplit(other.bytes);
        self.count += other.count;
    }

    /// Takes what has been pushed so far and leaves the rest of the buffer for more.
    #[must_use]
    pub fn split(&mut self) -> Self {
        Self { bytes: self.bytes.split(), count: std::mem::take(&mut self.count) }
    }

    /// Makes sure that `needed` bytes more fit; a new buffer, where that takes one, has at least
    /// `at_least`. Returns whether it took one.
    pub fn reserve(&mut self, needed: usize, at_least: usize) -> bool {
        let is_too_small = self.bytes.capacity() - self.bytes.len() < needed;
        if is_too_small {
            self.bytes.reserve(needed.max(at_least));
        }
        is_too_small
    }

    /// One record whose body stands in `bytes` behind [`Records::HEAD_BYTES`] of any content.
    /// Copies nothing.
    ///
    /// # Panics
    /// When `bytes` are too few for a head, or the body is longer than [`MAX_BODY_BYTES`].
    pub fn of_body(kind: Kind, bytes: Vec<u8>) -> Self {
        let mut records = Self { bytes: BytesMut::from(Bytes::from(bytes)), count: 1 };
        records.write_head(0, kind);
        records
    }

    /// The records' bytes, heads and bodies.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The number of records.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Each record as kind and body, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &[u8])> {
        let mut rest = self.as_bytes();
        std::iter::from_fn(move || split_record(&mut rest))
    }

    /// The records' bytes, to be shared.
    pub fn into_bytes(self) -> Bytes {
        self.bytes.freeze()
    }
}

/// Splits one record off the front; `None` at the end, or where the bytes are not a record.
pub(super) fn split_record<'a>(rest: &mut &'a [u8]) -> Option<(Kind, &'a [u8])> {
    let (head, after) = rest.split_first_chunk::<{ Records::HEAD_BYTES }>()?;
    let head = u32::from_le_bytes(*head);
    let kind = Kind::from_code(head >> LENGTH_BITS)?;
    let (body, after) = after.split_at_checked((head & MAX_BODY_BYTES as u32) as usize)?;
    *rest = after;
    Some((kind, body))
}

/// A producer's own numbers of its entries: one that is sent again is kept only once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerSession {
    /// Entry metadata `otto.session`.
    pub id: Arc<str>,
    /// Entry metadata `otto.seq` of each record of the run, in order; the parts of a line share one.
    pub seqs: Vec<u64>,
}

/// Consecutive records of one worker of one task, in order of arrival.
#[derive(Debug, Clone)]
pub struct Run {
    /// The task whose log they belong to.
    pub task: TaskId,
    /// The worker that they come from.
    pub worker: WorkerId,
    /// Set when the producer numbers its entries; `seqs` is as long as `records`.
    pub session: Option<ProducerSession>,
    /// The records.
    pub records: Records,
}

/// How far a source has been pulled: every entry of `source` up to `number` is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Identifies the source and its numbering.
    pub source: Arc<str>,
    /// The last number.
    pub number: u64,
}

/// What is appended and acknowledged as a whole.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The runs, in order.
    pub runs: Vec<Run>,
    /// Becomes durable together with the runs; in a batch without entries it is only kept in memory.
    pub cursor: Option<Cursor>,
}

impl Batch {
    /// A batch of `runs` alone.
    pub fn of(runs: Vec<Run>) -> Self {
        Self { runs, cursor: None }
    }

    /// How many bytes the batch takes of a limit in bytes.
    pub fn bytes(&self) -> usize {
        self.runs.iter().map(|run| run.records.as_bytes().len()).sum()
    }
}
