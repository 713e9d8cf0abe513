//! A segment's file: its name and what it begins with.
//!
//! # Segment header (little endian)
//! ```text
//! magic 8 | version 4 | epoch 4 | base 8 | first commit 8 | created ms 8 | crc 4
//! ```
//! It is durable before the first chunk is written.

use std::path::{Path, PathBuf};

use super::bytes::{u32_at, u64_at};
use super::units::{FilePosition, Millis};
use crate::domain::{Epoch, Offset};

const MAGIC: [u8; 8] = *b"\xf6ohsegm1";

/// The version of the segment format.
pub(in crate::store) const VERSION: u32 = 1;

/// Bytes of the segment header: where the first chunk stands.
pub(in crate::store) const SEGMENT_HEADER_BYTES: usize = 44;

/// How a segment file's name ends.
const SUFFIX: &str = ".seg";

/// Digits of a segment file's name.
const NAME_DIGITS: usize = 20;

/// What a segment file begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct SegmentHeader {
    pub(in crate::store) version: u32,
    pub(in crate::store) epoch: Epoch,
    /// The offset that the first entry has, or would have.
    pub(in crate::store) base: Offset,
    pub(in crate::store) first_commit: u64,
    pub(in crate::store) created: Millis,
}

impl SegmentHeader {
    pub(in crate::store) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&self.epoch.0.to_le_bytes());
        for field in [self.base.0, self.first_commit, self.created.0] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// The header in `bytes`; `None` where it is damaged.
    pub(in crate::store) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<SEGMENT_HEADER_BYTES>()?;
        let (covered, crc) = bytes.split_at(bytes.len() - 4);
        (covered[..8] == MAGIC && crc32c::crc32c(covered) == u32_at(crc, 0)).then(|| Self {
            version: u32_at(covered, 8),
            epoch: Epoch(u32_at(covered, 12)),
            base: Offset(u64_at(covered, 16)),
            first_commit: u64_at(covered, 24),
            created: Millis(u64_at(covered, 32)),
        })
    }
}

/// Where a segment's first chunk stands.
pub(in crate::store) const FIRST_CHUNK: FilePosition = FilePosition(SEGMENT_HEADER_BYTES as u64);

/// The file of the segment that begins with `base`.
pub(in crate::store) fn segment_path(dir: &Path, base: Offset) -> PathBuf {
    dir.join(format!("{:0NAME_DIGITS$}{SUFFIX}", base.0))
}

/// The base in a segment's name; `None` for other names.
pub(in crate::store) fn base_in_name(name: &str) -> Option<Offset> {
    let digits = name.strip_suffix(SUFFIX)?;
    let digits_only = digits.len() == NAME_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    digits_only.then(|| digits.parse().ok().map(Offset))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_encoding_and_a_flipped_bit_is_found() {
        let header = SegmentHeader {
            version: 1,
            epoch: Epoch(9),
            base: Offset(4),
            first_commit: 3,
            created: Millis(77),
        };
        let encoded = header.encode();
        assert_eq!(SegmentHeader::decode(&encoded), Some(header));
        for at in 0..encoded.len() {
            let mut bytes = encoded.clone();
            bytes[at] ^= 1;
            assert_eq!(SegmentHeader::decode(&bytes), None, "a flip at byte {at} went unnoticed");
        }
    }

    #[test]
    fn a_name_gives_its_base_back_and_other_names_give_none() {
        let name = segment_path(Path::new("d"), Offset(1207));
        assert_eq!(name.to_str(), Some("d/00000000000000001207.seg"));
        assert_eq!(base_in_name("00000000000000001207.seg"), Some(Offset(1207)));
        for other in ["LOCK", "1207.seg", "0000000000000000120x.seg", "00000000000000001207"] {
            assert_eq!(base_in_name(other), None, "{other}");
        }
    }
}
