//! How fast a simulated worker prints.

use std::time::Duration;

/// How fast each worker prints.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LineRate {
    /// As fast as the server takes it.
    Unbounded,
    /// About so many lines a second; slow steps take longer.
    LinesPerSecond(f64),
}

impl LineRate {
    /// How long `effort` takes.
    pub(super) fn duration(self, effort: u64) -> Duration {
        match self {
            Self::Unbounded => Duration::ZERO,
            Self::LinesPerSecond(rate) => Duration::from_secs_f64(effort as f64 / rate.max(0.001)),
        }
    }
}
