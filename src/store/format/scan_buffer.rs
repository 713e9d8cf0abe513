//! Reads a segment file in order through a buffer.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::checksum::ChecksumSeed;
use super::chunk::{self, CHUNK_HEADER_BYTES, FoundChunk};
use super::units::FilePosition;
use crate::domain::MAX_ID_BYTES;

/// What stands where a chunk may begin.
#[derive(Debug)]
pub(in crate::store) enum ScanItem<'a> {
    /// An intact chunk, with all its bytes.
    Chunk(FoundChunk, &'a [u8]),
    /// The end.
    End,
    /// No intact chunk.
    Damaged,
}

/// A file up to `end`, read piece by piece.
#[derive(Debug)]
pub(in crate::store) struct ScanBuffer<'a> {
    file: &'a File,
    end: FilePosition,
    read_ahead_bytes: usize,
    start: FilePosition,
    buffer: Vec<u8>,
}

impl<'a> ScanBuffer<'a> {
    /// A buffer before `file`, of which nothing at or after `end` is read.
    pub(in crate::store) fn new(
        file: &'a File,
        end: FilePosition,
        read_ahead_bytes: usize,
    ) -> Self {
        Self { file, end, read_ahead_bytes, start: FilePosition(0), buffer: Vec::new() }
    }

    /// Up to `bytes` bytes at `position`, fewer only where the end is nearer.
    ///
    /// # Errors
    /// As the file system reports them.
    pub(in crate::store) fn bytes(
        &mut self,
        position: FilePosition,
        bytes: usize,
    ) -> io::Result<&[u8]> {
        let left = self.end.0.saturating_sub(position.0);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let bytes = bytes.min(left);
        let held = self.start..=self.start + self.buffer.len();
        if !held.contains(&position) || !held.contains(&(position + bytes)) {
            self.buffer.resize(bytes.max(self.read_ahead_bytes.min(left)), 0);
            self.start = position;
            self.file.read_exact_at(&mut self.buffer, position.0)?;
        }
        let at = position - self.start;
        Ok(&self.buffer[at..at + bytes])
    }

    /// What stands at `position`.
    ///
    /// # Errors
    /// As the file system reports them.
    pub(in crate::store) fn item(
        &mut self,
        position: FilePosition,
        seed: ChecksumSeed,
    ) -> io::Result<ScanItem<'_>> {
        let Some(found) = self.header(position, seed)? else {
            let at_end = position >= self.end;
            return Ok(if at_end { ScanItem::End } else { ScanItem::Damaged });
        };
        let bytes = self.bytes(position, found.bytes())?;
        Ok(match chunk::intact_payload(bytes, &found) {
            Some(_) => ScanItem::Chunk(found, bytes),
            None => ScanItem::Damaged,
        })
    }

    fn header(
        &mut self,
        position: FilePosition,
        seed: ChecksumSeed,
    ) -> io::Result<Option<FoundChunk>> {
        let bytes = self.bytes(position, CHUNK_HEADER_BYTES + MAX_ID_BYTES)?;
        Ok(chunk::decode_header(bytes, seed, position))
    }

    /// The first chunk from `position` on whose header is sound and that ends before the end.
    ///
    /// # Errors
    /// As the file system reports them.
    pub(in crate::store) fn next_chunk(
        &mut self,
        position: FilePosition,
        seed: ChecksumSeed,
    ) -> io::Result<Option<(FilePosition, FoundChunk)>> {
        let mut from = Some(position);
        while let Some(at) = from {
            match self.header(at, seed)? {
                Some(found) if at + found.bytes() <= self.end => return Ok(Some((at, found))),
                _ => from = self.find_magic(at + 1)?,
            }
        }
        Ok(None)
    }

    /// The first place from `position` on where a chunk's magic stands.
    ///
    /// # Errors
    /// As the file system reports them.
    pub(in crate::store) fn find_magic(
        &mut self,
        mut position: FilePosition,
    ) -> io::Result<Option<FilePosition>> {
        const STEP_BYTES: usize = 64 * 1024;
        while position < self.end {
            let bytes = self.bytes(position, STEP_BYTES)?;
            if let Some(at) = memchr::memmem::find(bytes, &chunk::MAGIC) {
                return Ok(Some(position + at));
            }
            let overlap = chunk::MAGIC.len() - 1;
            position = position + bytes.len().saturating_sub(overlap).max(1);
        }
        Ok(None)
    }
}
