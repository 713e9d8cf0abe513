//! Numbers that must not be mixed up.

use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::now_ms;

/// A place in a file, in bytes from its beginning.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
pub(in crate::store) struct FilePosition(pub(in crate::store) u64);

impl Add<usize> for FilePosition {
    type Output = Self;
    fn add(self, bytes: usize) -> Self {
        Self(self.0 + bytes as u64)
    }
}

impl Sub for FilePosition {
    type Output = usize;
    fn sub(self, earlier: Self) -> usize {
        (self.0 - earlier.0) as usize
    }
}

/// A point in time, in milliseconds since the Unix epoch.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
pub(in crate::store) struct Millis(pub(in crate::store) u64);

impl Millis {
    pub(in crate::store) fn now() -> Self {
        Self(now_ms())
    }

    /// How long ago it was at `now`; zero where it is later than that.
    pub(in crate::store) fn age_at(self, now: Self) -> Duration {
        Duration::from_millis(now.0.saturating_sub(self.0))
    }
}
