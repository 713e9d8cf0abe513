//! The format of a spool file, and reading it whatever was cut off.
//!
//! A file is the magic text and then records: the body's length, the CRC32C of these four bytes, and
//! that of the body, each u32 in little endian, then the body in postcard. The first record is `Begin`, then come lines with rising
//! numbers, and `Close` is the last. A file without `Close` was cut off: whoever wrote it was killed.

use std::io::{self, ErrorKind, Read};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::client::push::{Line, Producer, Resumption, TimedStatus, WorkerEnd};
use crate::domain::{IdError, TaskId, WorkerId, WorkerState};

/// What a file begins with; the number is the format's.
pub(super) const MAGIC: &[u8] = b"OTTO-SPOOL-1\n";

/// A body's length and the two checksums.
const HEAD_BYTES: usize = 12;

/// The largest body that is read; a line has 16 MiB at most.
const MAX_BODY_BYTES: usize = 32 << 20;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum SpoolRecord {
    Begin(Origin),
    Line(SpooledLine),
    Close(Closing),
}

/// Whose lines a file has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    task: String,
    worker: String,
    level: String,
    source: String,
    session: String,
    /// Where it was not told yet.
    first_status: Option<SpooledStatus>,
    /// Whether the worker's end is the task's too.
    pub(super) ends_task: bool,
}

/// A line with its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SpooledLine {
    pub(super) seq: u64,
    timestamp: String,
    source: Option<String>,
    message: String,
}

/// The end of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Closing {
    /// The worker's end, where one was to be told.
    end: Option<SpooledStatus>,
    /// How many lines did not fit.
    pub(super) lost: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SpooledStatus {
    state: WorkerState,
    reason: String,
    exit_code: Option<i32>,
    time: String,
}

impl From<&TimedStatus> for SpooledStatus {
    fn from(timed: &TimedStatus) -> Self {
        let TimedStatus { status, time } = timed;
        let WorkerEnd { state, reason, exit_code } = status.clone();
        Self { state, reason, exit_code, time: time.to_string() }
    }
}

impl From<SpooledStatus> for TimedStatus {
    fn from(spooled: SpooledStatus) -> Self {
        let SpooledStatus { state, reason, exit_code, time } = spooled;
        Self { status: WorkerEnd { state, reason, exit_code }, time: time.into() }
    }
}

impl Origin {
    pub(super) fn of(producer: &Producer, resumption: &Resumption, ends_task: bool) -> Self {
        Self {
            task: producer.task.to_string(),
            worker: producer.worker.to_string(),
            level: producer.level.clone(),
            source: producer.source.clone(),
            session: resumption.session.clone(),
            first_status: resumption.first_status.as_ref().map(SpooledStatus::from),
            ends_task,
        }
    }

    pub(super) fn producer(&self) -> Result<Producer, IdError> {
        Ok(Producer {
            task: TaskId::new(&self.task)?,
            worker: WorkerId::new(&self.worker)?,
            level: self.level.clone(),
            source: self.source.clone(),
        })
    }

    /// How its session goes on; the lines say their numbers.
    pub(super) fn resumption(&self) -> Resumption {
        let first_status = self.first_status.clone().map(TimedStatus::from);
        Resumption { session: self.session.clone(), next_seq: 1, first_status }
    }
}

impl SpooledLine {
    pub(super) fn of(seq: u64, line: Line) -> Self {
        let Line { timestamp, source, message } = line;
        let source = source.map(|source| source.to_string());
        Self { seq, timestamp: timestamp.to_string(), source, message }
    }

    pub(super) fn into_line(self) -> Line {
        let source: Option<Arc<str>> = self.source.map(Arc::from);
        Line { timestamp: self.timestamp.into(), source, message: self.message }
    }
}

impl Closing {
    pub(super) fn of(end: Option<&TimedStatus>, lost: u64) -> Self {
        Self { end: end.map(SpooledStatus::from), lost }
    }

    pub(super) fn end(self) -> Option<TimedStatus> {
        self.end.map(TimedStatus::from)
    }
}

impl SpoolRecord {
    /// The record as it stands in a file.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = postcard::to_extend(self, vec![0; HEAD_BYTES])
            .expect("texts and numbers can always be encoded");
        let body = &bytes[HEAD_BYTES..];
        let length = u32::try_from(body.len()).expect("a line has 16 MiB at most");
        let head = [length, crc32c::crc32c(&length.to_le_bytes()), crc32c::crc32c(body)];
        let head = head.iter().flat_map(|number| number.to_le_bytes());
        bytes.splice(..HEAD_BYTES, head);
        bytes
    }
}

/// Why there is no next record.
#[derive(Debug)]
pub(super) enum RecordError {
    /// The file ends in the middle of it.
    Cut,
    /// It is not what was written.
    Damaged(&'static str),
    Io(io::Error),
}

/// Reads records one after the other.
pub(super) struct RecordReader<R> {
    input: R,
    /// Behind the last record that was read.
    at: u64,
    length: u64,
}

impl<R: Read> RecordReader<R> {
    /// Reads a file of `length` bytes, from its beginning.
    pub(super) fn new(mut input: R, length: u64) -> Result<Self, RecordError> {
        let mut magic = Vec::new();
        let wanted = MAGIC.len() as u64;
        input.by_ref().take(wanted).read_to_end(&mut magic).map_err(RecordError::Io)?;
        match &magic[..] {
            MAGIC => Ok(Self { input, at: wanted, length }),
            start if MAGIC.starts_with(start) => Err(RecordError::Cut),
            _ => Err(RecordError::Damaged("it does not begin as a spool file does")),
        }
    }

    /// Behind the last record that was read, in bytes from the beginning.
    pub(super) fn position(&self) -> u64 {
        self.at
    }

    /// The next record; `None` at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<SpoolRecord>, RecordError> {
        let left = self.length - self.at;
        if left == 0 {
            return Ok(None);
        }
        if left < HEAD_BYTES as u64 {
            return Err(RecordError::Cut);
        }
        let mut head = [0; HEAD_BYTES];
        self.read(&mut head)?;
        let [length, of_length, of_body] = [&head[..4], &head[4..8], &head[8..]]
            .map(|bytes| u32::from_le_bytes(bytes.try_into().expect("it has four bytes")));
        // Where a file system made the file longer before it wrote what is in it.
        if head == [0; HEAD_BYTES] {
            return Err(self.rest_of_zeros());
        }
        if crc32c::crc32c(&head[..4]) != of_length || length as usize > MAX_BODY_BYTES {
            return Err(RecordError::Damaged("its length is wrong"));
        }
        let end = HEAD_BYTES as u64 + u64::from(length);
        if end > left {
            return Err(RecordError::Cut);
        }
        let mut body = vec![0; length as usize];
        self.read(&mut body)?;
        if crc32c::crc32c(&body) != of_body {
            // The last record may be there only in part.
            let wrong = RecordError::Damaged("its checksum is wrong");
            return Err(if end == left { RecordError::Cut } else { wrong });
        }
        let record = postcard::from_bytes(&body)
            .map_err(|_| RecordError::Damaged("it is no record of this version"))?;
        self.at += end;
        Ok(Some(record))
    }

    fn rest_of_zeros(&mut self) -> RecordError {
        let mut buffer = [0; 4096];
        loop {
            match self.input.read(&mut buffer) {
                Ok(0) => return RecordError::Cut,
                Ok(length) if buffer[..length].iter().all(|byte| *byte == 0) => {}
                Ok(_) => return RecordError::Damaged("it has no length"),
                Err(error) => return RecordError::Io(error),
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<(), RecordError> {
        self.input.read_exact(buffer).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => RecordError::Cut,
            _ => RecordError::Io(error),
        })
    }
}
