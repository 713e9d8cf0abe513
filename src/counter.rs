//! One number of what was counted since the start of the process.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts up; any thread may add and read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `amount`; 0 costs nothing.
    pub fn add(&self, amount: u64) {
        if amount > 0 {
            self.0.fetch_add(amount, Relaxed);
        }
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
