//! The end of a sealed segment: what it has of which task, and where.
//!
//! # WireLayout (little endian)
//! ```text
//! footer  := task index* | sparse index | directory | trailer
//! index   := (position, base, base line, bytes, count)*      varints, each the difference
//! directory := postcard of [TaskRecord], then of the cursors, see `cursors`; none at the end
//! trailer := magic 8 | data end 8 | end offset 8 | last commit 8 | last time ms 8
//!          | sparse position 8, bytes 4, crc 4 | directory position 8, bytes 4, crc 4 | crc 4
//! ```
//! The trailer's CRC-32C is mixed with the epoch and the segment's base, as a chunk's is.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::chunk::{ChecksumSeed, u32_at, u64_at};
use super::directory::{Directory, Sealed};
use super::index::{IndexAt, encode_index};
use crate::domain::{TaskId, WorkerState};

const MAGIC: [u8; 8] = *b"\xf6ohfoot1";

/// Bytes of the trailer.
pub(super) const TRAILER_BYTES: usize = 76;

/// What a footer says of one task.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TaskRecord<'a> {
    #[serde(borrow)]
    pub(super) task: &'a str,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) first_line: u64,
    pub(super) lines: u64,
    pub(super) bytes: u64,
    /// Over the task's whole life up to here.
    pub(super) lost_lines: u64,
    pub(super) first_time_ms: u64,
    pub(super) last_time_ms: u64,
    pub(super) previous: u64,
    pub(super) index: IndexAt,
    /// Those that have an entry here, as they were at the segment's end.
    pub(super) workers: Vec<WorkerRecord<'a>>,
}

/// What a footer says of one worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WorkerRecord<'a> {
    pub(super) ordinal: u32,
    pub(super) worker: &'a str,
    pub(super) lines: u64,
    pub(super) state: Option<(WorkerState, u64)>,
    pub(super) last: u64,
    #[serde(borrow)]
    pub(super) sessions: Vec<(&'a str, u64)>,
}

/// A footer that is to be written.
#[derive(Debug)]
pub(super) struct Footer {
    pub(super) bytes: Vec<u8>,
    pub(super) sealed: Sealed,
    pub(super) indexes: Vec<(TaskId, IndexAt)>,
}

/// Makes the footer of the active segment, to stand where its chunks and marks end.
pub(super) fn build(
    directory: &Directory,
    seed: ChecksumSeed,
    data_end: u64,
    (last_commit, last_time_ms): (u64, u64),
) -> Footer {
    let active = directory.active();
    let mut body = Body { bytes: Vec::new(), position: data_end };
    let mut indexes = Vec::new();
    let mut records = Vec::new();
    for (id, task) in directory.tasks.iter().filter(|(_, task)| !task.chunks.is_empty()) {
        let index = body.put(&encode_index(&task.chunks));
        indexes.push((id.clone(), index));
        records.extend(task.record(id, active, index));
    }
    let sparse = body.put(&encode_index(&directory.sparse));
    let mut records = postcard::to_stdvec(&records).expect("records always encode into memory");
    records.extend(directory.cursors.encode());
    let records = body.put(&records);
    let mut bytes = body.bytes;
    let file_bytes = data_end + (bytes.len() + TRAILER_BYTES) as u64;
    let end_offset = directory.tail;
    let sealed = Sealed { data_end, end_offset, file_bytes, last_time_ms, sparse };
    put_trailer(&mut bytes, seed, &Trailer { sealed, last_commit, records });
    Footer { bytes, sealed, indexes }
}

struct Body {
    bytes: Vec<u8>,
    /// Where the footer begins in the file.
    position: u64,
}

impl Body {
    fn put(&mut self, part: &[u8]) -> IndexAt {
        let position = self.position + self.bytes.len() as u64;
        self.bytes.extend_from_slice(part);
        IndexAt { position, bytes: part.len() as u32, crc: crc32c::crc32c(part) }
    }
}

/// The fixed end of a footer.
#[derive(Debug)]
pub(super) struct Trailer {
    pub(super) sealed: Sealed,
    pub(super) last_commit: u64,
    pub(super) records: IndexAt,
}

fn put_trailer(out: &mut Vec<u8>, seed: ChecksumSeed, trailer: &Trailer) {
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    let Sealed { data_end, end_offset, last_time_ms, sparse, .. } = trailer.sealed;
    for field in [data_end, end_offset, trailer.last_commit, last_time_ms] {
        out.extend_from_slice(&field.to_le_bytes());
    }
    for at in [sparse, trailer.records] {
        out.extend_from_slice(&at.position.to_le_bytes());
        out.extend_from_slice(&at.bytes.to_le_bytes());
        out.extend_from_slice(&at.crc.to_le_bytes());
    }
    let crc = seed.crc(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// The trailer of a file of `file_bytes`; `None` where there is no valid one.
pub(super) fn read_trailer(
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
        position: u64_at(&bytes, at),
        bytes: u32_at(&bytes, at + 8),
        crc: u32_at(&bytes, at + 12),
    };
    let sealed = Sealed {
        data_end: u64_at(&bytes, 8),
        end_offset: u64_at(&bytes, 16),
        file_bytes,
        last_time_ms: u64_at(&bytes, 32),
        sparse: index_at(40),
    };
    Ok(Some(Trailer { sealed, last_commit: u64_at(&bytes, 24), records: index_at(56) }))
}

/// A part of a footer; `None` where it is damaged.
pub(super) fn read_part(file: &File, at: IndexAt) -> io::Result<Option<Arc<[u8]>>> {
    let mut bytes = vec![0; at.bytes as usize];
    match file.read_exact_at(&mut bytes, at.position) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        outcome => outcome?,
    }
    Ok((crc32c::crc32c(&bytes) == at.crc).then(|| bytes.into()))
}
