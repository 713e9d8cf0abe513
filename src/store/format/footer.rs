//! The end of a sealed segment: what it has of which task, and where.
//!
//! # Layout (little endian)
//! ```text
//! footer  := task index* | sparse index | task records | trailer
//! index   := (position, base, base line, bytes, count)*      varints, each the difference
//! task records := postcard of [TaskRecord], then of the cursors, then of [Tombstone], of the trims,
//!                 see `control`, and of [TaskFacts]; what is empty at the end is left out. Task
//!                 records are of what is behind tombstones
//! trailer := magic 8 | data end 8 | end offset 8 | last commit 8 | last time ms 8
//!          | sparse position 8, bytes 4, crc 4 | records position 8, bytes 4, crc 4 | crc 4
//! ```
//! The trailer's CRC-32C is mixed with the epoch and the segment's base, as a chunk's is.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::bytes::{u32_at, u64_at};
use super::checksum::ChecksumSeed;
use super::control::{Cursors, TaskTrim};
use super::facts::TaskFacts;
use super::index::{ChunkRef, IndexAt, encode_index};
use super::units::{FilePosition, Millis};
use crate::domain::{LineNumber, Offset, WorkerState};

const MAGIC: [u8; 8] = *b"\xf6ohfoot1";

/// Bytes of the trailer.
pub(in crate::store) const TRAILER_BYTES: usize = 76;

/// What is known about a sealed segment.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct SealedSegment {
    /// Where its chunks end.
    pub(in crate::store) data_end: FilePosition,
    /// The offset after its last entry.
    pub(in crate::store) end_offset: Offset,
    /// Bytes of the file.
    pub(in crate::store) file_bytes: u64,
    /// When its last entry was committed.
    pub(in crate::store) last_time: Millis,
    /// Its index in store order.
    pub(in crate::store) sparse: IndexAt,
}

/// What a footer says of one task.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store) struct TaskRecord<'a> {
    #[serde(borrow)]
    pub(in crate::store) task: &'a str,
    pub(in crate::store) first: Offset,
    pub(in crate::store) last: Offset,
    pub(in crate::store) first_line: LineNumber,
    pub(in crate::store) lines: u64,
    pub(in crate::store) bytes: u64,
    /// Over the task's whole life up to here.
    pub(in crate::store) lost_lines: u64,
    pub(in crate::store) first_time: Millis,
    pub(in crate::store) last_time: Millis,
    /// The task's entry before `first`; 0 on the disk where there never was one.
    #[serde(with = "zero_is_none")]
    pub(in crate::store) previous: Option<Offset>,
    pub(in crate::store) index: IndexAt,
    /// Those that have an entry here, as they were at the segment's end.
    pub(in crate::store) workers: Vec<WorkerRecord<'a>>,
}

/// What a footer says of one worker.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store) struct WorkerRecord<'a> {
    /// Its place among the task's workers.
    pub(in crate::store) ordinal: u32,
    pub(in crate::store) worker: &'a str,
    pub(in crate::store) lines: u64,
    /// The notified state that counts, if it ever notified one.
    pub(in crate::store) state: Option<NotifiedState>,
    /// Its last entry.
    pub(in crate::store) last: Offset,
    /// The last number of each session, the session used last at the end.
    #[serde(borrow)]
    pub(in crate::store) sessions: Vec<(&'a str, u64)>,
}

/// A deletion that the segment has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct Tombstone<'a> {
    pub(in crate::store) task: &'a str,
    /// What the task has before this offset is deleted.
    pub(in crate::store) end: Offset,
}

/// What a footer says of tasks.
#[derive(Debug, Default)]
pub(in crate::store) struct FooterTasks<'a> {
    pub(in crate::store) records: Vec<TaskRecord<'a>>,
    pub(in crate::store) cursors: Cursors,
    pub(in crate::store) tombstones: Vec<Tombstone<'a>>,
    pub(in crate::store) trims: Vec<TaskTrim<'a>>,
    pub(in crate::store) facts: Vec<TaskFacts<'a>>,
}

impl<'a> FooterTasks<'a> {
    /// Reads what a footer has at [`Trailer::records`]; `None` where that is nonsense.
    pub(in crate::store) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (records, behind) = postcard::take_from_bytes(bytes).ok()?;
        let (cursors, behind) = Cursors::take(behind)?;
        let (tombstones, behind) = take_list(behind)?;
        let (trims, behind) = take_list(behind)?;
        let (facts, _) = take_list(behind)?;
        Some(Self { records, cursors, tombstones, trims, facts })
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes =
            postcard::to_stdvec(&self.records).expect("records always encode into memory");
        bytes.extend(self.cursors.encode());
        let mut lists = [
            (encode_list(&self.tombstones), self.tombstones.is_empty()),
            (encode_list(&self.trims), self.trims.is_empty()),
            (encode_list(&self.facts), self.facts.is_empty()),
        ]
        .to_vec();
        while lists.pop_if(|(_, is_empty)| *is_empty).is_some() {}
        lists.iter().for_each(|(encoded, _)| bytes.extend(encoded));
        bytes
    }
}

fn encode_list<T: Serialize>(list: &[T]) -> Vec<u8> {
    postcard::to_stdvec(list).expect("texts and numbers always encode into memory")
}

/// A list that is left out where it and all behind it are empty, and what stands behind it; `None` where
/// that is nonsense.
fn take_list<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<(Vec<T>, &'a [u8])> {
    match bytes {
        [] => Some((Vec::new(), bytes)),
        some => postcard::take_from_bytes(some).ok(),
    }
}

/// A state that a worker notified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct NotifiedState {
    pub(in crate::store) state: WorkerState,
    /// The notification's offset.
    pub(in crate::store) offset: Offset,
}

mod zero_is_none {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::domain::Offset;

    pub(super) fn serialize<S: Serializer>(
        offset: &Option<Offset>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        offset.unwrap_or_default().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Offset>, D::Error> {
        let offset = Offset::deserialize(deserializer)?;
        Ok((offset > Offset(0)).then_some(offset))
    }
}

/// The commit that a segment ends with.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct LastCommit {
    pub(in crate::store) number: u64,
    pub(in crate::store) time: Millis,
}

/// Puts a footer together, to stand where a segment's chunks end.
#[derive(Debug)]
pub(in crate::store) struct FooterBuilder {
    seed: ChecksumSeed,
    data_end: FilePosition,
    bytes: Vec<u8>,
}

impl FooterBuilder {
    pub(in crate::store) fn new(seed: ChecksumSeed, data_end: FilePosition) -> Self {
        Self { seed, data_end, bytes: Vec::new() }
    }

    /// Adds a task's index; all of them come before [`FooterBuilder::finish`].
    pub(in crate::store) fn put_index(&mut self, chunks: &[ChunkRef]) -> IndexAt {
        self.put(&encode_index(chunks))
    }

    /// Adds the rest; returns what the segment is from then on, and the footer's bytes.
    pub(in crate::store) fn finish(
        mut self,
        sparse: &[ChunkRef],
        tasks: &FooterTasks<'_>,
        end_offset: Offset,
        last: LastCommit,
    ) -> (SealedSegment, Vec<u8>) {
        let sparse = self.put_index(sparse);
        let records = self.put(&tasks.encode());
        let Self { seed, data_end, mut bytes } = self;
        let file_bytes = data_end.0 + (bytes.len() + TRAILER_BYTES) as u64;
        let last_time = last.time;
        let sealed = SealedSegment { data_end, end_offset, file_bytes, last_time, sparse };
        put_trailer(&mut bytes, seed, &Trailer { sealed, last_commit: last.number, records });
        (sealed, bytes)
    }

    fn put(&mut self, part: &[u8]) -> IndexAt {
        let position = self.data_end + self.bytes.len();
        self.bytes.extend_from_slice(part);
        IndexAt { position, bytes: part.len() as u32, crc: crc32c::crc32c(part) }
    }
}

/// The fixed end of a footer.
#[derive(Debug)]
pub(in crate::store) struct Trailer {
    pub(in crate::store) sealed: SealedSegment,
    pub(in crate::store) last_commit: u64,
    /// Where the task records stand.
    pub(in crate::store) records: IndexAt,
}

fn put_trailer(out: &mut Vec<u8>, seed: ChecksumSeed, trailer: &Trailer) {
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    let SealedSegment { data_end, end_offset, last_time, sparse, .. } = trailer.sealed;
    for field in [data_end.0, end_offset.0, trailer.last_commit, last_time.0] {
        out.extend_from_slice(&field.to_le_bytes());
    }
    for at in [sparse, trailer.records] {
        out.extend_from_slice(&at.position.0.to_le_bytes());
        out.extend_from_slice(&at.bytes.to_le_bytes());
        out.extend_from_slice(&at.crc.to_le_bytes());
    }
    let crc = seed.crc(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// The trailer of a file of `file_bytes`; `None` where there is no valid one.
///
/// # Errors
/// As the file system reports them.
pub(in crate::store) fn read_trailer(
    file: &File,
    file_bytes: u64,
    seed: ChecksumSeed,
) -> io::Result<Option<Trailer>> {
    let Some(start) = file_bytes.checked_sub(TRAILER_BYTES as u64) else { return Ok(None) };
    let mut bytes = [0; TRAILER_BYTES];
    file.read_exact_at(&mut bytes, start)?;
    let (covered, crc) = bytes.split_at(TRAILER_BYTES - 4);
    if bytes[..8] != MAGIC || seed.crc(covered) != u32_at(crc, 0) {
        return Ok(None);
    }
    let index_at = |at| IndexAt {
        position: FilePosition(u64_at(&bytes, at)),
        bytes: u32_at(&bytes, at + 8),
        crc: u32_at(&bytes, at + 12),
    };
    let sealed = SealedSegment {
        data_end: FilePosition(u64_at(&bytes, 8)),
        end_offset: Offset(u64_at(&bytes, 16)),
        file_bytes,
        last_time: Millis(u64_at(&bytes, 32)),
        sparse: index_at(40),
    };
    Ok(Some(Trailer { sealed, last_commit: u64_at(&bytes, 24), records: index_at(56) }))
}

/// A part of a footer; `None` where it is damaged.
///
/// # Errors
/// As the file system reports them.
pub(in crate::store) fn read_footer_part(
    file: &File,
    at: IndexAt,
) -> io::Result<Option<Arc<[u8]>>> {
    let mut bytes = vec![0; at.bytes as usize];
    match file.read_exact_at(&mut bytes, at.position.0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    }
    Ok((crc32c::crc32c(&bytes) == at.crc).then(|| bytes.into()))
}
