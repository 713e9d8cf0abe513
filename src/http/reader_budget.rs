//! The memory that readers make the server hold, because they have not taken what is theirs.
//!
//! `--reader-bytes` is two halves. The first is for what was read ahead and what viewers share. A
//! reader that gets none of it goes on with little: it forgets what it read ahead after each
//! piece and reads it again for the next. The second is for entries that are larger than a piece:
//! these wait for it.

use bytes::Bytes;

use crate::permits::{BytePermit, BytePermits, Permit, Permits};

/// A piece of this many bytes or less is a reader's own.
pub(super) const PIECE_BYTES: usize = 32 * 1024;

/// Reads of the log by downloads and pages at once: each may hold a block of the largest entry.
const READS: usize = 4;

/// The memory budget of all readers. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct ReaderBudget {
    bytes: usize,
    ahead: BytePermits,
    large: BytePermits,
    reads: Permits,
}

impl ReaderBudget {
    pub(super) fn new(bytes: usize) -> Self {
        let half = || BytePermits::new(bytes / 2);
        Self { bytes, ahead: half(), large: half(), reads: Permits::new(READS) }
    }

    /// How many bytes are held now.
    pub(super) fn used_bytes(&self) -> usize {
        self.ahead.used_bytes() + self.large.used_bytes()
    }

    /// How many bytes may be held.
    pub(super) fn limit_bytes(&self) -> usize {
        self.bytes
    }

    /// Reservation for `bytes` that were read ahead or are shared, if there is some.
    pub(super) fn try_ahead(&self, bytes: usize) -> Option<BytePermit> {
        self.ahead.try_acquire(bytes)
    }

    /// Reservation for a large entry of `bytes`, if there is some.
    pub(super) fn try_large(&self, bytes: usize) -> Option<BytePermit> {
        self.large.try_acquire(bytes)
    }

    /// Waits for memory for a large entry of `bytes`.
    pub(super) async fn large(&self, bytes: usize) -> BytePermit {
        self.large.acquire(bytes).await
    }

    /// Waits until the log may be read by one more.
    pub(super) async fn read(&self) -> Permit {
        self.reads.acquire().await
    }
}

/// Bytes that give their memory back when nobody holds them any more.
pub(super) fn with_budget(bytes: impl AsRef<[u8]> + Send + 'static, budget: BytePermit) -> Bytes {
    Bytes::from_owner(Budgeted { bytes, _budget: budget })
}

struct Budgeted<B> {
    bytes: B,
    _budget: BytePermit,
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Budgeted<B> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}
