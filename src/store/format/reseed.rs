//! The same bytes in another store: only their checksums change.

use super::checksum::ChecksumSeed;
use super::chunk::CHUNK_HEADER_BYTES;
use super::footer::TRAILER_BYTES;
use super::units::FilePosition;

/// Makes `chunk`, which is whole and sound, one of the segment of `seed`, at `position`.
pub(in crate::store) fn reseed_chunk(chunk: &mut [u8], seed: ChecksumSeed, position: FilePosition) {
    let head = CHUNK_HEADER_BYTES + usize::from(chunk[13]);
    let crc = seed.crc_at(position, &chunk[8..head]);
    chunk[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// Makes `trailer`, which is whole and sound, one of the segment of `seed`.
pub(in crate::store) fn reseed_trailer(trailer: &mut [u8], seed: ChecksumSeed) {
    let (covered, stored) = trailer[..TRAILER_BYTES].split_at_mut(TRAILER_BYTES - 4);
    stored.copy_from_slice(&seed.crc(covered).to_le_bytes());
}
