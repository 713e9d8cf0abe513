//! Checksums that hold only where their bytes were written.

use super::units::FilePosition;
use crate::domain::{Epoch, Offset};

/// What every checksum of one segment starts from: the store's epoch and the segment's base.
/// Bytes that were copied from another store or segment do not pass.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct ChecksumSeed(u32);

impl ChecksumSeed {
    pub(in crate::store) fn new(epoch: Epoch, segment_base: Offset) -> Self {
        Self(crc32c::crc32c_append(epoch.0, &segment_base.0.to_le_bytes()))
    }

    /// The checksum of bytes that belong to the segment, wherever they stand in it.
    pub(super) fn crc(self, covered: &[u8]) -> u32 {
        crc32c::crc32c_append(self.0, covered)
    }

    /// The checksum of bytes that belong at `position` of the segment and nowhere else.
    pub(super) fn crc_at(self, position: FilePosition, covered: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c_append(self.0, &position.0.to_le_bytes()), covered)
    }
}
