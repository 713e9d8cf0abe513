//! What a push tells while it runs, and at its end.

use std::time::Duration;

use super::window::{Dropped, Progress};

/// What the user should know at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The server refused a line for good.
    Dropped(Dropped),
    /// The stream broke; another attempt follows.
    Disconnected {
        /// Why.
        reason: String,
        /// When the next attempt comes.
        retry_in: Duration,
    },
    /// The server refused a worker's status.
    StatusRefused {
        /// The server's words.
        message: String,
    },
}

/// Called with every notice; must not block.
pub type Observer = Box<dyn Fn(Notice) + Send + Sync>;

/// How it ended, when it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Counts of lines.
    pub progress: Progress,
    /// How often a new stream was opened.
    pub reconnects: u64,
    /// Statuses that the server refused.
    pub refused_statuses: u64,
}

impl Report {
    /// Whether the server keeps every line and every status.
    pub fn is_clean(&self) -> bool {
        self.progress.acknowledged == self.progress.pushed && self.refused_statuses == 0
    }
}
