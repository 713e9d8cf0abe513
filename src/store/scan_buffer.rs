//! Reads a file in order through a buffer, for scans.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::chunk::{self, ChecksumSeed, Found, HEADER_BYTES};
use crate::domain::MAX_ID_BYTES;

/// What stands at a place where a chunk may begin.
#[derive(Debug)]
pub(super) enum ScanItem<'a> {
    /// An intact chunk, with all its bytes.
    Chunk(Found, &'a [u8]),
    /// The end.
    End,
    /// No intact chunk.
    Damaged,
}

/// Part of a file up to `end`.
#[derive(Debug)]
pub(super) struct ScanBuffer<'a> {
    file: &'a File,
    end: u64,
    read_ahead_bytes: usize,
    start: u64,
    buffer: Vec<u8>,
}

impl<'a> ScanBuffer<'a> {
    /// A window on `file`, of which nothing at or after `end` is read.
    pub(super) fn new(file: &'a File, end: u64, read_ahead_bytes: usize) -> Self {
        Self { file, end, read_ahead_bytes, start: 0, buffer: Vec::new() }
    }

    /// Up to `bytes` bytes at `position`, fewer only where the end is nearer.
    pub(super) fn bytes(&mut self, position: u64, bytes: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.end.saturating_sub(position)).unwrap_or(usize::MAX);
        let bytes = bytes.min(left);
        let held = self.start..=self.start + self.buffer.len() as u64;
        if !held.contains(&position) || !held.contains(&(position + bytes as u64)) {
            self.buffer.resize(bytes.max(self.read_ahead_bytes.min(left)), 0);
            self.start = position;
            self.file.read_exact_at(&mut self.buffer, position)?;
        }
        let at = (position - self.start) as usize;
        Ok(&self.buffer[at..at + bytes])
    }

    /// What stands at `position`.
    pub(super) fn place(&mut self, position: u64, seed: ChecksumSeed) -> io::Result<ScanItem<'_>> {
        let Some(found) = self.header(position, seed)? else {
            return Ok(if position >= self.end { ScanItem::End } else { ScanItem::Damaged });
        };
        let bytes = self.bytes(position, found.bytes())?;
        Ok(match chunk::intact_payload(bytes, &found) {
            Some(_) => ScanItem::Chunk(found, bytes),
            None => ScanItem::Damaged,
        })
    }

    /// The chunk header at `position`.
    pub(super) fn header(
        &mut self,
        position: u64,
        seed: ChecksumSeed,
    ) -> io::Result<Option<Found>> {
        let bytes = self.bytes(position, HEADER_BYTES + MAX_ID_BYTES)?;
        Ok(chunk::decode_header(bytes, seed, position))
    }

    /// The first place from `position` on where a chunk's magic stands.
    pub(super) fn find_magic(&mut self, mut position: u64) -> io::Result<Option<u64>> {
        const STEP_BYTES: usize = 64 * 1024;
        while position < self.end {
            let bytes = self.bytes(position, STEP_BYTES)?;
            if let Some(at) = memchr::memmem::find(bytes, &chunk::MAGIC) {
                return Ok(Some(position + at as u64));
            }
            let overlap = chunk::MAGIC.len() - 1;
            position += bytes.len().saturating_sub(overlap).max(1) as u64;
        }
        Ok(None)
    }
}
