//! What ingest hands to the log: encoded records, grouped by task and worker.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::{TaskId, WorkerId, WorkerState};

/// The longest record body, in bytes; the record head has 29 bits for it.
pub const MAX_BODY_BYTES: usize = (1 << 29) - 1;

/// What a record is. The wire value stands in the record's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A log line; the only kind that has a line number.
    Log,
    /// Lines that were refused or could not be kept; the body has `lines` and `reason`.
    Gap,
    /// A worker's status notification.
    Status(WorkerState),
}

impl Kind {
    pub(super) const fn code(self) -> u32 {
        match self {
            Self::Log => 0,
            Self::Gap => 1,
            Self::Status(WorkerState::Created) => 2,
            Self::Status(WorkerState::Running) => 3,
            Self::Status(WorkerState::Completed) => 4,
            Self::Status(WorkerState::Failed) => 5,
            Self::Status(WorkerState::Terminated) => 6,
        }
    }

    pub(super) const fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            0 => Self::Log,
            1 => Self::Gap,
            2 => Self::Status(WorkerState::Created),
            3 => Self::Status(WorkerState::Running),
            4 => Self::Status(WorkerState::Completed),
            5 => Self::Status(WorkerState::Failed),
            6 => Self::Status(WorkerState::Terminated),
            _ => return None,
        })
    }
}

/// Records in a row, each a head and a body.
///
/// A body is the entry's JSON object without its opening brace and without the
/// members `offset` and `line`, which are known only after the commit.
#[derive(Debug, Clone, Default)]
pub struct Records {
    bytes: BytesMut,
    count: u32,
}

impl Records {
    /// Bytes of a record's head: the kind in the top 3 bits, the body's length below.
    pub const HEAD_BYTES: usize = 4;

    /// Appends one record whose body `write` puts into the buffer; returns what `write` returns.
    ///
    /// # Panics
    /// When the body is longer than [`MAX_BODY_BYTES`]; callers check sizes first.
    pub fn push_with<T>(&mut self, kind: Kind, write: impl FnOnce(&mut BytesMut) -> T) -> T {
        let head_at = self.bytes.len();
        self.bytes.put_u32_le(0);
        let result = write(&mut self.bytes);
        let body_bytes = self.bytes.len() - head_at - Self::HEAD_BYTES;
        assert!(body_bytes <= MAX_BODY_BYTES, "a record body is {body_bytes} bytes");
        let head = (kind.code() << 29) | body_bytes as u32;
        self.bytes[head_at..head_at + Self::HEAD_BYTES].copy_from_slice(&head.to_le_bytes());
        self.count += 1;
        result
    }

    /// Appends one record.
    pub fn push(&mut self, kind: Kind, body: &[u8]) {
        self.push_with(kind, |buffer| buffer.extend_from_slice(body));
    }

    /// Whether `next` stands right behind these in one buffer, so that [`Records::append`]
    /// copies nothing.
    pub fn is_followed_by(&self, next: &Self) -> bool {
        self.bytes.as_ptr_range().end == next.bytes.as_ptr()
    }

    /// Appends all of `other`; free of copying when the two stand side by side in one buffer.
    pub fn append(&mut self, other: Self) {
        self.bytes.unsplit(other.bytes);
        self.count += other.count;
    }

    /// Takes what has been pushed so far and leaves the rest of the buffer for more.
    #[must_use]
    pub fn split(&mut self) -> Self {
        Self { bytes: self.bytes.split(), count: std::mem::take(&mut self.count) }
    }

    /// Makes sure that `needed` bytes fit; where a new buffer is needed it has at least `at_least`.
    pub fn reserve(&mut self, needed: usize, at_least: usize) {
        if self.bytes.capacity() - self.bytes.len() < needed {
            self.bytes.reserve(needed.max(at_least));
        }
    }

    /// The records' bytes, heads and bodies.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many records there are.
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

    /// Freezes the records' bytes.
    pub fn into_bytes(self) -> Bytes {
        self.bytes.freeze()
    }
}

/// Cuts one record off the front; `None` at the end or where the bytes make no record.
pub(super) fn split_record<'a>(rest: &mut &'a [u8]) -> Option<(Kind, &'a [u8])> {
    let (head, after) = rest.split_first_chunk::<{ Records::HEAD_BYTES }>()?;
    let head = u32::from_le_bytes(*head);
    let kind = Kind::from_code(head >> 29)?;
    let (body, after) = after.split_at_checked((head & MAX_BODY_BYTES as u32) as usize)?;
    *rest = after;
    Some((kind, body))
}

/// A producer's own numbering, which makes a resend idempotent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerSession {
    /// Entry metadata `otto.session`.
    pub id: Arc<str>,
    /// Entry metadata `otto.seq` of each record of the run, in order.
    pub seqs: Vec<u64>,
}

/// Records of one worker of one task, in order of arrival.
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

/// How far a numbered source has been read: everything of `source` up to `number` is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Names the source and its numbering.
    pub source: Arc<str>,
    /// The last number.
    pub number: u64,
}

/// What is appended at once and answered at once.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The runs, in order.
    pub runs: Vec<Run>,
    /// Becomes durable together with the runs. Without entries to keep it is only remembered.
    pub cursor: Option<Cursor>,
}

impl Batch {
    /// A batch of `runs` alone.
    pub fn of(runs: Vec<Run>) -> Self {
        Self { runs, cursor: None }
    }

    /// What the batch counts for in a byte bound.
    pub fn bytes(&self) -> usize {
        self.runs.iter().map(|run| run.records.as_bytes().len()).sum()
    }
}
