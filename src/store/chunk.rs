//! One chunk: a block on the disk.
//!
//! # WireLayout (little endian)
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
//! 36  of           4  how many chunks the commit has
//! 40  base         8  offset of the first entry
//! 48  base line    8
//! 56  count        4
//! 60  lines        4
//! 64  time         8  milliseconds since the Unix epoch
//! ```
//! A chunk without entries (count 0, no task) is a mark: its payload is empty, or the cursors
//! that the commit advances, see `cursors`.
//!
//! Checksums are CRC-32C. The header's covers the bytes from 8 to the end of the task id,
//! and starts from the store's epoch, the segment's base and the chunk's position: bytes that
//! look like a chunk are one only where they were written.

use bytes::Bytes;
use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

use crate::domain::{Block, Offset, TaskId};

/// Starts a chunk. Its first byte occurs in no UTF-8 text, so log lines cannot hold it.
pub(super) const MAGIC: [u8; 4] = *b"\xf6OHC";

/// Bytes of the fixed part.
pub(super) const HEADER_BYTES: usize = 80;

/// Payloads from here on are compressed: below, LZ4 saves next to nothing.
const COMPRESS_FROM_BYTES: usize = 1400;

/// No chunk holds more: a cut payload and one record of the greatest size.
const MAX_RAW_BYTES: u32 = 1 << 30;

/// Payloads below it are compressed with the small table, as `lz4_flex` itself chooses.
const SMALL_TABLE_BELOW_BYTES: usize = u16::MAX as usize;

/// What a packer keeps from chunk to chunk at most.
const MAX_SPACE_BYTES: usize = 1024 * 1024;

const FLAG_LZ4: u8 = 1;
const FLAG_SYNCED: u8 = 2;

/// Where a segment's chunks are valid: mixed into their checksums.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChecksumSeed(u32);

impl ChecksumSeed {
    pub(super) fn new(epoch: u32, segment_base: u64) -> Self {
        Self(crc32c::crc32c_append(epoch, &segment_base.to_le_bytes()))
    }

    /// The checksum of bytes that belong to the segment, wherever they stand.
    pub(super) fn crc(self, covered: &[u8]) -> u32 {
        crc32c::crc32c_append(self.0, covered)
    }

    fn header_crc(self, position: u64, covered: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c_append(self.0, &position.to_le_bytes()), covered)
    }
}

/// The fixed part, but for checksums and lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Whether the commit was followed by an fsync before the next one began.
    pub(super) synced: bool,
    pub(super) commit: u64,
    pub(super) index: u32,
    pub(super) chunks_in_commit: u32,
    pub(super) base: u64,
    pub(super) base_line: u64,
    pub(super) count: u32,
    pub(super) lines: u32,
    pub(super) time_ms: u64,
    pub(super) previous: u64,
}

/// A header as found, with the lengths of what follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) header: Header,
    flags: u8,
    payload_crc: u32,
    task_bytes: usize,
    stored_bytes: usize,
    raw_bytes: usize,
}

impl Found {
    /// Bytes of the whole chunk.
    pub(super) fn bytes(&self) -> usize {
        HEADER_BYTES + self.task_bytes + self.stored_bytes
    }

    /// Bytes up to the payload.
    pub(super) fn head_bytes(&self) -> usize {
        HEADER_BYTES + self.task_bytes
    }
}

/// Compresses payloads. What that needs is made once: new tables and zeroed queue_permits for each
/// payload cost more than small payloads themselves.
pub(super) struct Packer {
    small: CompressTable,
    large: CompressTable,
    space: Vec<u8>,
}

impl Default for Packer {
    fn default() -> Self {
        Self { small: CompressTable::small(), large: CompressTable::large(), space: Vec::new() }
    }
}

impl Packer {
    /// The compressed bytes; `None` where that saves nothing.
    fn packed(&mut self, raw: &[u8]) -> Option<&[u8]> {
        if raw.len() < COMPRESS_FROM_BYTES {
            return None;
        }
        let most = get_maximum_output_size(raw.len());
        if self.space.len() > MAX_SPACE_BYTES {
            self.space = Vec::new();
        }
        if self.space.len() < most {
            self.space.resize(most, 0);
        }
        let is_small = raw.len() < SMALL_TABLE_BELOW_BYTES;
        let table = if is_small { &mut self.small } else { &mut self.large };
        let bytes = compress_into_with_table(raw, &mut self.space, table).ok()?;
        (bytes < raw.len()).then(|| &self.space[..bytes])
    }
}

/// Appends a chunk that will stand at `position`.
pub(super) fn encode(
    out: &mut Vec<u8>,
    packer: &mut Packer,
    seed: ChecksumSeed,
    position: u64,
    header: &Header,
    (task, raw): (&str, &[u8]),
) {
    let start = out.len();
    out.resize(start + HEADER_BYTES, 0);
    out.extend_from_slice(task.as_bytes());
    let payload_at = out.len();
    let packed = packer.packed(raw);
    let lz4 = packed.is_some();
    out.extend_from_slice(packed.unwrap_or(raw));
    let flags = u8::from(header.synced) * FLAG_SYNCED + u8::from(lz4) * FLAG_LZ4;
    let payload_crc = crc32c::crc32c(&out[payload_at..]);
    let stored_bytes = (out.len() - payload_at) as u32;
    let mut fixed = Fixed { bytes: &mut out[start..payload_at], at: 0 };
    fixed.put(&MAGIC);
    fixed.put(&[0; 4]);
    fixed.put(&payload_crc.to_le_bytes());
    fixed.put(&[flags, task.len() as u8, 0, 0]);
    fixed.put(&stored_bytes.to_le_bytes());
    fixed.put(&(raw.len() as u32).to_le_bytes());
    fixed.put(&header.commit.to_le_bytes());
    fixed.put(&header.index.to_le_bytes());
    fixed.put(&header.chunks_in_commit.to_le_bytes());
    fixed.put(&header.base.to_le_bytes());
    fixed.put(&header.base_line.to_le_bytes());
    fixed.put(&header.count.to_le_bytes());
    fixed.put(&header.lines.to_le_bytes());
    fixed.put(&header.time_ms.to_le_bytes());
    fixed.put(&header.previous.to_le_bytes());
    let crc = seed.header_crc(position, &out[start + 8..payload_at]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

struct Fixed<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl Fixed<'_> {
    fn put(&mut self, field: &[u8]) {
        self.bytes[self.at..self.at + field.len()].copy_from_slice(field);
        self.at += field.len();
    }
}

/// The chunk header at the start of `bytes`, which stand at `position`; `None` where there is
/// no valid one. The task id must be within `bytes`.
pub(super) fn decode_header(bytes: &[u8], seed: ChecksumSeed, position: u64) -> Option<Found> {
    let fixed = bytes.first_chunk::<HEADER_BYTES>()?;
    if fixed[..4] != MAGIC {
        return None;
    }
    let task_bytes = usize::from(fixed[13]);
    let covered = bytes.get(8..HEADER_BYTES + task_bytes)?;
    if seed.header_crc(position, covered) != u32_at(fixed, 4) {
        return None;
    }
    let header = Header {
        synced: fixed[12] & FLAG_SYNCED != 0,
        commit: u64_at(fixed, 24),
        index: u32_at(fixed, 32),
        chunks_in_commit: u32_at(fixed, 36),
        base: u64_at(fixed, 40),
        base_line: u64_at(fixed, 48),
        count: u32_at(fixed, 56),
        lines: u32_at(fixed, 60),
        time_ms: u64_at(fixed, 64),
        previous: u64_at(fixed, 72),
    };
    let raw_bytes = u32_at(fixed, 20);
    (raw_bytes <= MAX_RAW_BYTES).then_some(Found {
        header,
        flags: fixed[12],
        payload_crc: u32_at(fixed, 8),
        task_bytes,
        stored_bytes: u32_at(fixed, 16) as usize,
        raw_bytes: raw_bytes as usize,
    })
}

impl Header {
    /// A chunk without entries, alone in its commit.
    pub(super) fn control_chunk(commit: u64, base: u64, time_ms: u64) -> Self {
        Self {
            synced: true,
            commit,
            index: 0,
            chunks_in_commit: 1,
            base,
            base_line: 0,
            count: 0,
            lines: 0,
            time_ms,
            previous: 0,
        }
    }
}

/// The block of a chunk that holds entries, from all its bytes; `None` where they are damaged.
pub(super) fn decode_block(bytes: &[u8], found: &Found) -> Option<Block> {
    let task = bytes.get(HEADER_BYTES..found.head_bytes())?;
    let task = TaskId::new(std::str::from_utf8(task).ok()?).ok()?;
    let payload = decode_payload(bytes, found)?;
    let Header { base, base_line, count, lines, time_ms, .. } = found.header;
    Some(Block { task, base: Offset(base), base_line, count, lines, time_ms, payload })
}

/// The payload of a chunk, from all its bytes; `None` where it is damaged.
pub(super) fn decode_payload(bytes: &[u8], found: &Found) -> Option<Bytes> {
    let stored = intact_payload(bytes, found)?;
    if found.flags & FLAG_LZ4 == 0 {
        return Some(Bytes::copy_from_slice(stored));
    }
    let mut raw = vec![0; found.raw_bytes];
    let bytes = lz4_flex::block::decompress_into(stored, &mut raw).ok()?;
    (bytes == raw.len()).then(|| raw.into())
}

/// The stored payload, where it is what was written.
pub(super) fn intact_payload<'a>(bytes: &'a [u8], found: &Found) -> Option<&'a [u8]> {
    let stored = bytes.get(found.head_bytes()..found.bytes())?;
    (crc32c::crc32c(stored) == found.payload_crc).then_some(stored)
}

/// The four bytes of `bytes` at `at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}

/// The eight bytes of `bytes` at `at`.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        synced: true,
        commit: 7,
        index: 1,
        chunks_in_commit: 3,
        base: 100,
        base_line: 40,
        count: 2,
        lines: 1,
        time_ms: 5,
        previous: 90,
    };

    fn seed() -> ChecksumSeed {
        ChecksumSeed::new(0x1f, 1)
    }

    fn chunk(raw: &[u8]) -> Vec<u8> {
        let mut out = b"before".to_vec();
        encode(&mut out, &mut Packer::default(), seed(), 4096, &HEADER, ("task", raw));
        out.split_off(6)
    }

    #[test]
    fn a_chunk_comes_back_as_its_block_plain_and_compressed() {
        for raw in [vec![b'a'; 10], vec![b'b'; 10_000]] {
            let bytes = chunk(&raw);
            let found = decode_header(&bytes, seed(), 4096).unwrap();
            assert_eq!((found.header, found.bytes()), (HEADER, bytes.len()));
            let block = decode_block(&bytes, &found).unwrap();
            assert_eq!((block.task.as_str(), block.payload.as_ref()), ("task", &raw[..]));
        }
        assert!(chunk(&[b'b'; 10_000]).len() < 1000);
    }

    #[test]
    fn a_packer_makes_of_each_payload_what_a_new_one_would() {
        let mut packer = Packer::default();
        let random = |bytes: usize| (0..bytes).map(|_| fastrand::u8(..)).collect::<Vec<_>>();
        let words = |bytes: usize| random(64).repeat(bytes / 64 + 1)[..bytes].to_vec();
        for bytes in [1399, 1400, 9000, 65_534, 65_535, 300_000, 1_200_000, 2000] {
            for raw in [words(bytes), random(bytes)] {
                let fresh = lz4_flex::block::compress(&raw);
                let pays = bytes >= COMPRESS_FROM_BYTES && fresh.len() < raw.len();
                assert_eq!(packer.packed(&raw), pays.then_some(&fresh[..]), "{bytes} bytes");
            }
        }
    }

    #[test]
    fn a_chunk_is_none_at_another_position_or_in_another_store() {
        let bytes = chunk(b"x");
        assert!(decode_header(&bytes, seed(), 4097).is_none());
        assert!(decode_header(&bytes, ChecksumSeed::new(0x20, 1), 4096).is_none());
    }

    #[test]
    fn a_flipped_bit_anywhere_is_found() {
        let whole = chunk(&[b'b'; 2000]);
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            let block = decode_header(&bytes, seed(), 4096).and_then(|f| decode_block(&bytes, &f));
            assert!(block.is_none(), "a flip at byte {at} went unnoticed");
        }
    }
}
