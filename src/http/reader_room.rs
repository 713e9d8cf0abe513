//! The memory that readers make the server hold, because they have not taken what is theirs.
//!
//! What a reader has read ahead and what it was given are counted together, up to
//! `--reader-bytes`. A reader that gets no room goes on with little: it forgets what it read ahead
//! after each piece and reads it again for the next. Only a piece that is itself large waits.

use crate::permits::{BytePermit, BytePermits, Permits};

/// A piece of this many bytes or less is a reader's own.
pub(super) const PIECE_BYTES: usize = 32 * 1024;

/// Reads of the log by downloads and pages at once: each may hold a block of the largest entry.
const READS: usize = 4;

/// The room of all readers. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct ReaderRoom {
    bytes: BytePermits,
    reads: Permits,
}

impl ReaderRoom {
    pub(super) fn new(bytes: usize) -> Self {
        Self { bytes: BytePermits::new(bytes), reads: Permits::new(READS) }
    }

    /// How many bytes are held now.
    pub(super) fn used_bytes(&self) -> usize {
        self.bytes.used_bytes()
    }

    /// Room for `bytes`, if there is some.
    pub(super) fn try_hold(&self, bytes: usize) -> Option<BytePermit> {
        self.bytes.try_acquire(bytes)
    }

    /// Waits for room for `bytes`.
    pub(super) async fn hold(&self, bytes: usize) -> BytePermit {
        self.bytes.acquire(bytes).await
    }

    /// Waits until the log may be read by one more.
    pub(super) async fn read(&self) -> crate::permits::Permit {
        self.reads.acquire().await
    }
}
