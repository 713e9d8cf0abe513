//! A pushed message that is too long to be taken: it is read on, and not held.

use bytes::Bytes;

use crate::ingest::IncomingEntry;

/// How much of it is held, in bytes: ids stand at its beginning.
const BEGINNING_BYTES: usize = 4 * 1024;

/// A message of which only the beginning is held.
#[derive(Debug)]
pub(in crate::grpc) struct Skipped {
    length: usize,
    limit: usize,
    /// Bytes that are still to come.
    left: usize,
    beginning: Vec<u8>,
}

impl Skipped {
    /// A message of `length` bytes, above the `limit`.
    pub(in crate::grpc) fn new(length: usize, limit: usize) -> Self {
        Self { length, limit, left: length, beginning: Vec::new() }
    }

    pub(in crate::grpc) fn length(&self) -> usize {
        self.length
    }

    /// How many bytes have come.
    pub(in crate::grpc) fn seen(&self) -> usize {
        self.length - self.left
    }

    /// Takes from `frame` what belongs to the message; returns whether that was the rest.
    pub(in crate::grpc) fn take(&mut self, frame: &mut Bytes) -> bool {
        let taken = frame.split_to(self.left.min(frame.len()));
        self.left -= taken.len();
        let held = BEGINNING_BYTES.saturating_sub(self.beginning.len()).min(taken.len());
        self.beginning.extend_from_slice(&taken[..held]);
        self.left == 0
    }

    /// What is told of it.
    pub(in crate::grpc) fn refused(&self) -> IncomingEntry {
        IncomingEntry::too_long(self.length, self.limit, &self.beginning)
    }
}
