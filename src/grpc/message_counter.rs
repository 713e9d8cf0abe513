//! How many pushed messages one runtime thread has read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts the pushed messages that one runtime thread reads. Clones share the number; only that
/// thread may serve with them.
#[derive(Debug, Clone, Default)]
pub struct MessageCounter(Arc<CacheLine>);

/// Alone on its cache lines, so that no other thread's writes slow this one's down.
#[derive(Debug, Default)]
#[repr(align(128))]
struct CacheLine(AtomicU64);

impl MessageCounter {
    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.0.load(Relaxed)
    }

    /// Counts one message. One thread writes, so a load and a store lose nothing and cost less
    /// than `fetch_add`.
    pub(super) fn increment(&self) {
        self.0.0.store(self.get() + 1, Relaxed);
    }
}
