//! Since when the committer has been in a call that writes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Since when a write has been under way.
#[derive(Debug)]
pub(in crate::store) struct StallClock {
    start: Instant,
    /// Milliseconds after `start`, and one; 0 while nothing is written.
    began: AtomicU64,
}

impl Default for StallClock {
    fn default() -> Self {
        Self { start: Instant::now(), began: AtomicU64::new(0) }
    }
}

impl StallClock {
    /// Notes that a write begins.
    pub(in crate::store) fn begin(&self) {
        self.began.store(self.now() + 1, Ordering::Release);
    }

    /// Notes that it is over, well or not.
    pub(in crate::store) fn end(&self) {
        self.began.store(0, Ordering::Release);
    }

    /// For how long the write that is under way has been.
    pub(super) fn waited(&self) -> Option<Duration> {
        let began = self.began.load(Ordering::Acquire).checked_sub(1)?;
        Some(Duration::from_millis(self.now().saturating_sub(began)))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }
}
