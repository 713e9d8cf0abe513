//! The active segment: the file that commits are appended to.
//!
//! # Segment header (little endian)
//! ```text
//! magic 8 | version 4 | epoch 4 | base 8 | first commit 8 | created ms 8 | crc 4
//! ```
//! It is durable before the first chunk is written.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::chunk::{ChecksumSeed, u32_at, u64_at};
use super::disk::{Disk, DiskFile};
use crate::domain::{Epoch, now_ms};

const MAGIC: [u8; 8] = *b"\xf6ohsegm1";

/// The version of the segment format.
pub(super) const VERSION: u32 = 1;

/// Bytes of the segment header.
pub(super) const HEADER_BYTES: u64 = 44;

/// How a segment file's name ends.
const SUFFIX: &str = ".seg";

/// Digits of a segment file's name.
const NAME_DIGITS: usize = 20;

/// What a segment file begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) epoch: Epoch,
    pub(super) base: u64,
    pub(super) first_commit: u64,
    pub(super) created_ms: u64,
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&self.epoch.0.to_le_bytes());
        for field in [self.base, self.first_commit, self.created_ms] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// The header in `bytes`; `None` where it is damaged.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<{ HEADER_BYTES as usize }>()?;
        let (covered, crc) = bytes.split_at(bytes.len() - 4);
        (covered[..8] == MAGIC && crc32c::crc32c(covered) == u32_at(crc, 0)).then(|| Self {
            version: u32_at(covered, 8),
            epoch: Epoch(u32_at(covered, 12)),
            base: u64_at(covered, 16),
            first_commit: u64_at(covered, 24),
            created_ms: u64_at(covered, 32),
        })
    }
}

/// The name of the segment that begins with `base`.
pub(super) fn path(directory: &Path, base: u64) -> PathBuf {
    directory.join(format!("{base:0NAME_DIGITS$}{SUFFIX}"))
}

/// The base in a segment's name; `None` for other names.
pub(super) fn base_in_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let digits_only = digits.len() == NAME_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    digits_only.then(|| digits.parse().ok())?
}

/// The segment that commits are appended to.
#[derive(Debug)]
pub(super) struct Active {
    /// `None` where the store has no files.
    pub(super) file: Option<Arc<dyn DiskFile>>,
    pub(super) seed: ChecksumSeed,
    /// Where the next bytes go.
    pub(super) position: u64,
    pub(super) created_ms: u64,
    pub(super) chunks: usize,
    pub(super) last_time_ms: u64,
}

impl Active {
    /// Makes the segment's file and its durable header.
    ///
    /// # Errors
    /// As the file system reports them.
    pub(super) fn create(
        disk: &dyn Disk,
        directory: &Path,
        (epoch, base, first_commit): (Epoch, u64, u64),
    ) -> io::Result<Self> {
        let file = disk.create(&path(directory, base))?;
        let header =
            Header { version: VERSION, epoch, base, first_commit, created_ms: now_ms() }.encode();
        file.write(&header, 0)?;
        file.sync()?;
        disk.sync_directory(directory)?;
        let created = Self::without_file(ChecksumSeed::new(epoch.0, base));
        Ok(Self { file: Some(file), position: HEADER_BYTES, ..created })
    }

    /// A segment of a store without files.
    pub(super) fn without_file(seed: ChecksumSeed) -> Self {
        let created_ms = now_ms();
        Self { file: None, seed, position: 0, created_ms, chunks: 0, last_time_ms: created_ms }
    }

    /// Appends `bytes`, which hold `chunks` chunks.
    ///
    /// # Errors
    /// As the file system reports them.
    pub(super) fn append(&mut self, bytes: &[u8], chunks: usize) -> io::Result<()> {
        if let Some(file) = &self.file {
            file.write(bytes, self.position)?;
        }
        self.position += bytes.len() as u64;
        self.chunks += chunks;
        Ok(())
    }

    /// Counts chunks that have no place in a file.
    pub(super) fn note(&mut self, payload_bytes: impl Iterator<Item = usize>) {
        for bytes in payload_bytes {
            self.position += bytes as u64;
            self.chunks += 1;
        }
    }

    /// Makes what was appended durable.
    ///
    /// # Errors
    /// As the file system reports them.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.sync())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_encoding_and_a_flipped_bit_is_found() {
        let header =
            Header { version: 1, epoch: Epoch(9), base: 4, first_commit: 3, created_ms: 77 };
        let encoded = header.encode();
        assert_eq!(Header::decode(&encoded), Some(header));
        for at in 0..encoded.len() {
            let mut bytes = encoded.clone();
            bytes[at] ^= 1;
            assert_eq!(Header::decode(&bytes), None, "a flip at byte {at} went unnoticed");
        }
    }

    #[test]
    fn a_name_gives_its_base_back_and_other_names_give_none() {
        let name = path(Path::new("d"), 1207);
        assert_eq!(name.to_str(), Some("d/00000000000000001207.seg"));
        assert_eq!(base_in_name("00000000000000001207.seg"), Some(1207));
        for other in ["LOCK", "1207.seg", "0000000000000000120x.seg", "00000000000000001207"] {
            assert_eq!(base_in_name(other), None, "{other}");
        }
    }
}
