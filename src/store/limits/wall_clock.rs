//! The seam to the clock on the wall, which people and time servers set.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::domain::now_ms;
use crate::store::format::Millis;

/// The system's clock. Clones share their steps.
#[derive(Debug, Clone, Default)]
pub struct WallClock(Arc<AtomicI64>);

impl WallClock {
    /// Steps it by so many milliseconds, for tests.
    pub fn step(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }

    /// What it shows.
    pub(in crate::store) fn now(&self) -> Millis {
        Millis(now_ms().saturating_add_signed(self.0.load(Ordering::Relaxed)))
    }
}
