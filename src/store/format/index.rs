//! Indexes: where chunks stand in a segment.

use serde::{Deserialize, Serialize};

use super::units::FilePosition;
use crate::domain::{LineNumber, Offset};

/// Where one chunk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::store) struct ChunkRef {
    /// Position in the segment file.
    pub(in crate::store) position: FilePosition,
    /// Offset of the first entry.
    pub(in crate::store) base: Offset,
    /// Line number of the first line.
    pub(in crate::store) base_line: LineNumber,
    /// Bytes of the whole chunk in the file.
    pub(in crate::store) bytes: u32,
    /// How many entries it has.
    pub(in crate::store) count: u32,
}

impl ChunkRef {
    /// The offset after its last entry.
    pub(in crate::store) fn end(&self) -> Offset {
        Offset(self.base.0 + u64::from(self.count))
    }

    /// Where in the file it ends.
    pub(in crate::store) fn end_position(&self) -> FilePosition {
        self.position + self.bytes as usize
    }
}

/// Where an index stands in a footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct IndexAt {
    pub(in crate::store) position: FilePosition,
    pub(in crate::store) bytes: u32,
    pub(in crate::store) crc: u32,
}

impl IndexAt {
    /// Where there is no index that can be read: its checksum is not that of nothing.
    pub(in crate::store) const UNREADABLE: Self =
        Self { position: FilePosition(0), bytes: 0, crc: 1 };
}

/// One row of an encoded index: position, base and base line as differences to the row before,
/// then bytes and count.
type Row = (u64, u64, i64, u32, u32);

/// Encodes `chunks`, which must be in the order of the file.
pub(in crate::store) fn encode_index(chunks: &[ChunkRef]) -> Vec<u8> {
    let mut before = ChunkRef::default();
    let mut out = Vec::with_capacity(chunks.len() * 8);
    for chunk in chunks {
        let row: Row = (
            chunk.position.0.wrapping_sub(before.position.0),
            chunk.base.0.wrapping_sub(before.base.0),
            chunk.base_line.0.wrapping_sub(before.base_line.0) as i64,
            chunk.bytes,
            chunk.count,
        );
        before = *chunk;
        out = postcard::to_extend(&row, out).expect("numbers always encode into memory");
    }
    out
}

/// Where the first chunk of an encoded index stands; `None` where that is not whole.
pub(in crate::store) fn first_position(encoded: &[u8]) -> Option<FilePosition> {
    let (row, _) = postcard::take_from_bytes::<Row>(encoded).ok()?;
    Some(FilePosition(row.0))
}

/// Decodes what [`encode_index`] made; `None` where it is malformed.
pub(in crate::store) fn decode_index(mut encoded: &[u8]) -> Option<Vec<ChunkRef>> {
    let mut chunks: Vec<ChunkRef> = Vec::new();
    let mut before = ChunkRef::default();
    while !encoded.is_empty() {
        let (row, rest) = postcard::take_from_bytes::<Row>(encoded).ok()?;
        before = ChunkRef {
            position: FilePosition(before.position.0.wrapping_add(row.0)),
            base: Offset(before.base.0.wrapping_add(row.1)),
            base_line: LineNumber(before.base_line.0.wrapping_add(row.2 as u64)),
            bytes: row.3,
            count: row.4,
        };
        chunks.push(before);
        encoded = rest;
    }
    Some(chunks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(n: u64) -> ChunkRef {
        ChunkRef {
            position: FilePosition(n * 100),
            base: Offset(n * 7),
            base_line: LineNumber(1000 - n),
            bytes: 99,
            count: 5,
        }
    }

    #[test]
    fn an_index_survives_encoding_and_a_truncated_one_is_refused() {
        let chunks: Vec<_> = (0..500).map(chunk).collect();
        let encoded = encode_index(&chunks);
        assert_eq!(decode_index(&encoded), Some(chunks));
        assert_eq!(decode_index(&encoded[..encoded.len() - 1]), None);
    }
}
