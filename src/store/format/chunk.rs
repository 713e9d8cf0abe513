//! One chunk: a block on the disk.
//!
//! # Layout (little endian)
//! ```text
//!  0  magic        4   72  previous     8  the task's entry before this chunk, 0 = none
//!  4  header crc   4   80  task id
//!  8  payload crc  4       stored payload
//! 12  flags        1
//! 13  task bytes   1
//! 14  zero         2
//! 16  stored bytes 4
//! 20  raw bytes    4
//! 24  commit       8  number of the commit, one more with each
//! 32  index        4  place of the chunk in its commit
//! 36  chunks       4  how many chunks the commit has
//! 40  base         8  offset of the first entry
//! 48  base line    8
//! 56  count        4
//! 60  lines        4
//! 64  time         8  milliseconds since the Unix epoch
//! ```
//! A chunk without entries (count 0, no task) is a control chunk: its payload is empty, or the
//! cursors that the commit advances, or where a flag says so trims, see `control`. A chunk without
//! entries that names a task (count 0) is a tombstone: what the task has before its base is deleted.
//!
//! Checksums are CRC-32C. The header's covers the bytes from 8 to the end of the task id,
//! and starts from the store's epoch, the segment's base and the chunk's position: bytes that
//! look like a chunk are one only where they were written.

use bytes::Bytes;

use super::bytes::{u32_at, u64_at};
use super::checksum::ChecksumSeed;
use super::compress::Compressor;
use super::index::ChunkRef;
use super::units::{FilePosition, Millis};
use crate::domain::{Block, LineNumber, Offset, TaskId};

/// Starts a chunk. Its first byte occurs in no UTF-8 text, so log lines cannot hold it.
pub(super) const MAGIC: [u8; 4] = *b"\xf6OHC";

/// Bytes of the fixed part.
pub(super) const CHUNK_HEADER_BYTES: usize = 80;

/// No chunk holds more: a full payload and one record of the greatest size.
const MAX_RAW_BYTES: u32 = 1 << 30;

const FLAG_LZ4: u8 = 1;
const FLAG_SYNCED: u8 = 2;
const FLAG_TRIMS: u8 = 4;

/// The fixed part, but for checksums and lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct ChunkHeader {
    /// Whether the commit was followed by an fsync before the next one began.
    pub(in crate::store) synced: bool,
    /// Of a control chunk: whether its payload is trims, and not cursors.
    pub(in crate::store) has_trims: bool,
    pub(in crate::store) commit: u64,
    /// The chunk's place in its commit.
    pub(in crate::store) index: u32,
    pub(in crate::store) chunks_in_commit: u32,
    /// The first entry's offset.
    pub(in crate::store) base: Offset,
    /// The number of the first line.
    pub(in crate::store) base_line: LineNumber,
    pub(in crate::store) count: u32,
    pub(in crate::store) lines: u32,
    pub(in crate::store) time: Millis,
    /// The task's entry before this chunk.
    pub(in crate::store) previous: Option<Offset>,
}

/// A chunk that is to be written.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Chunk<'a> {
    pub(in crate::store) header: ChunkHeader,
    /// The task's id; empty in a control chunk.
    pub(in crate::store) task: &'a str,
    pub(in crate::store) payload: &'a [u8],
}

/// A header as found, with the lengths of what follows.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct FoundChunk {
    pub(in crate::store) header: ChunkHeader,
    flags: u8,
    payload_crc: u32,
    task_bytes: usize,
    stored_bytes: usize,
    raw_bytes: usize,
}

impl FoundChunk {
    /// Bytes of the whole chunk.
    pub(in crate::store) fn bytes(&self) -> usize {
        CHUNK_HEADER_BYTES + self.task_bytes + self.stored_bytes
    }

    /// Where it stands, if it begins at `position`.
    pub(in crate::store) fn location(&self, position: FilePosition) -> ChunkRef {
        ChunkRef {
            position,
            base: self.header.base,
            base_line: self.header.base_line,
            bytes: self.bytes() as u32,
            count: self.header.count,
        }
    }

    /// The task's id, from the chunk's first bytes; empty in a control chunk.
    pub(in crate::store) fn task<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(CHUNK_HEADER_BYTES..self.head_bytes()).unwrap_or_default()
    }

    /// Whether it deletes a task.
    pub(in crate::store) fn is_tombstone(&self) -> bool {
        self.header.count == 0 && self.task_bytes > 0
    }

    /// Bytes up to the payload.
    fn head_bytes(&self) -> usize {
        CHUNK_HEADER_BYTES + self.task_bytes
    }
}

impl ChunkHeader {
    /// The offset after the last entry.
    pub(in crate::store) fn end(&self) -> Offset {
        Offset(self.base.0 + u64::from(self.count))
    }

    /// A chunk without entries, alone in its commit; `base` is the store's tail.
    pub(in crate::store) fn control_chunk(commit: u64, base: Offset, time: Millis) -> Self {
        Self {
            synced: true,
            has_trims: false,
            commit,
            index: 0,
            chunks_in_commit: 1,
            base,
            base_line: LineNumber(0),
            count: 0,
            lines: 0,
            time,
            previous: None,
        }
    }
}

/// Whether `bytes`, which are damaged, were a control chunk without cursors: they say so in their length and,
/// but for one flipped bit, in two places.
pub(in crate::store) fn was_control_chunk(bytes: &[u8]) -> bool {
    bytes.len() == CHUNK_HEADER_BYTES && (bytes[13] == 0 || u32_at(bytes, 56) == 0)
}

/// Appends `chunk`, which will stand at `position`.
pub(in crate::store) fn encode_chunk(
    out: &mut Vec<u8>,
    compressor: &mut Compressor,
    seed: ChecksumSeed,
    position: FilePosition,
    chunk: &Chunk<'_>,
) {
    let Chunk { header, task, payload } = chunk;
    let start = out.len();
    out.resize(start + CHUNK_HEADER_BYTES, 0);
    out.extend_from_slice(task.as_bytes());
    let payload_at = out.len();
    let compressed = compressor.compress(payload);
    let lz4 = compressed.is_some();
    out.extend_from_slice(compressed.unwrap_or(payload));
    let flags = [(header.synced, FLAG_SYNCED), (lz4, FLAG_LZ4), (header.has_trims, FLAG_TRIMS)];
    let flags = flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum();
    let payload_crc = crc32c::crc32c(&out[payload_at..]);
    let stored_bytes = (out.len() - payload_at) as u32;
    let mut fixed = Fields { bytes: &mut out[start..payload_at], at: 0 };
    fixed.put(&MAGIC);
    fixed.put(&[0; 4]);
    fixed.put(&payload_crc.to_le_bytes());
    fixed.put(&[flags, task.len() as u8, 0, 0]);
    fixed.put(&stored_bytes.to_le_bytes());
    fixed.put(&(payload.len() as u32).to_le_bytes());
    put_header(&mut fixed, header);
    let crc = seed.crc_at(position, &out[start + 8..payload_at]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

fn put_header(fixed: &mut Fields<'_>, header: &ChunkHeader) {
    fixed.put(&header.commit.to_le_bytes());
    fixed.put(&header.index.to_le_bytes());
    fixed.put(&header.chunks_in_commit.to_le_bytes());
    fixed.put(&header.base.0.to_le_bytes());
    fixed.put(&header.base_line.0.to_le_bytes());
    fixed.put(&header.count.to_le_bytes());
    fixed.put(&header.lines.to_le_bytes());
    fixed.put(&header.time.0.to_le_bytes());
    fixed.put(&header.previous.map_or(0, |previous| previous.0).to_le_bytes());
}

/// Fields that are put one behind the other.
struct Fields<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl Fields<'_> {
    fn put(&mut self, field: &[u8]) {
        self.bytes[self.at..self.at + field.len()].copy_from_slice(field);
        self.at += field.len();
    }
}

/// The chunk header at the start of `bytes`, which stand at `position`; `None` where there is
/// no valid one. The task id must be within `bytes`.
pub(in crate::store) fn decode_header(
    bytes: &[u8],
    seed: ChecksumSeed,
    position: FilePosition,
) -> Option<FoundChunk> {
    let fixed = bytes.first_chunk::<CHUNK_HEADER_BYTES>()?;
    if fixed[..4] != MAGIC {
        return None;
    }
    let task_bytes = usize::from(fixed[13]);
    let covered = bytes.get(8..CHUNK_HEADER_BYTES + task_bytes)?;
    if seed.crc_at(position, covered) != u32_at(fixed, 4) {
        return None;
    }
    let raw_bytes = u32_at(fixed, 20);
    (raw_bytes <= MAX_RAW_BYTES).then_some(FoundChunk {
        header: header_of(fixed),
        flags: fixed[12],
        payload_crc: u32_at(fixed, 8),
        task_bytes,
        stored_bytes: u32_at(fixed, 16) as usize,
        raw_bytes: raw_bytes as usize,
    })
}

fn header_of(fixed: &[u8; CHUNK_HEADER_BYTES]) -> ChunkHeader {
    let previous = u64_at(fixed, 72);
    ChunkHeader {
        synced: fixed[12] & FLAG_SYNCED != 0,
        has_trims: fixed[12] & FLAG_TRIMS != 0,
        commit: u64_at(fixed, 24),
        index: u32_at(fixed, 32),
        chunks_in_commit: u32_at(fixed, 36),
        base: Offset(u64_at(fixed, 40)),
        base_line: LineNumber(u64_at(fixed, 48)),
        count: u32_at(fixed, 56),
        lines: u32_at(fixed, 60),
        time: Millis(u64_at(fixed, 64)),
        previous: (previous > 0).then_some(Offset(previous)),
    }
}

/// The block of a chunk that holds entries, from all its bytes; `None` where they are damaged.
pub(in crate::store) fn decode_block(bytes: &[u8], found: &FoundChunk) -> Option<Block> {
    let task = decode_task(bytes, found)?;
    let payload = decode_payload(bytes, found)?;
    let ChunkHeader { base, base_line, count, lines, time, .. } = found.header;
    Some(Block { task, base, base_line: base_line.0, count, lines, time_ms: time.0, payload })
}

/// The task that a chunk names; `None` where it names none.
pub(in crate::store) fn decode_task(bytes: &[u8], found: &FoundChunk) -> Option<TaskId> {
    TaskId::new(std::str::from_utf8(found.task(bytes)).ok()?).ok()
}

/// The payload of a chunk, from all its bytes; `None` where it is damaged.
pub(in crate::store) fn decode_payload(bytes: &[u8], found: &FoundChunk) -> Option<Bytes> {
    let stored = intact_payload(bytes, found)?;
    if found.flags & FLAG_LZ4 == 0 {
        return Some(Bytes::copy_from_slice(stored));
    }
    let mut raw = vec![0; found.raw_bytes];
    let bytes = lz4_flex::block::decompress_into(stored, &mut raw).ok()?;
    (bytes == raw.len()).then(|| raw.into())
}

/// The stored payload, where it is what was written.
pub(super) fn intact_payload<'a>(bytes: &'a [u8], found: &FoundChunk) -> Option<&'a [u8]> {
    let stored = bytes.get(found.head_bytes()..found.bytes())?;
    (crc32c::crc32c(stored) == found.payload_crc).then_some(stored)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Epoch;

    const AT: FilePosition = FilePosition(4096);

    const HEADER: ChunkHeader = ChunkHeader {
        synced: true,
        has_trims: false,
        commit: 7,
        index: 1,
        chunks_in_commit: 3,
        base: Offset(100),
        base_line: LineNumber(40),
        count: 2,
        lines: 1,
        time: Millis(5),
        previous: Some(Offset(90)),
    };

    fn seed() -> ChecksumSeed {
        ChecksumSeed::new(Epoch(0x1f), Offset(1))
    }

    fn chunk(raw: &[u8]) -> Vec<u8> {
        let mut out = b"before".to_vec();
        let chunk = Chunk { header: HEADER, task: "task", payload: raw };
        encode_chunk(&mut out, &mut Compressor::default(), seed(), AT, &chunk);
        out.split_off(6)
    }

    #[test]
    fn a_chunk_comes_back_as_its_block_plain_and_compressed() {
        for raw in [vec![b'a'; 10], vec![b'b'; 10_000]] {
            let bytes = chunk(&raw);
            let found = decode_header(&bytes, seed(), AT).unwrap();
            assert_eq!((found.header, found.bytes()), (HEADER, bytes.len()));
            let block = decode_block(&bytes, &found).unwrap();
            assert_eq!((block.task.as_str(), block.payload.as_ref()), ("task", &raw[..]));
        }
        assert!(chunk(&[b'b'; 10_000]).len() < 1000);
    }

    #[test]
    fn a_chunk_is_none_at_another_position_or_in_another_store() {
        let bytes = chunk(b"x");
        assert!(decode_header(&bytes, seed(), FilePosition(4097)).is_none());
        assert!(decode_header(&bytes, ChecksumSeed::new(Epoch(0x20), Offset(1)), AT).is_none());
    }

    #[test]
    fn a_flipped_bit_anywhere_is_found() {
        let whole = chunk(&[b'b'; 2000]);
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            let block = decode_header(&bytes, seed(), AT).and_then(|f| decode_block(&bytes, &f));
            assert!(block.is_none(), "a flip at byte {at} went unnoticed");
        }
    }
}
