//! Which entries a reader wants, and which of them are missing.

use super::ids::{Offset, TaskId};

/// Which entries a reader wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every task's, in store order.
    All,
    /// One task's.
    Task(TaskId),
}

/// Entries that a reader asked for and that are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first missing offset.
    pub from: Offset,
    /// The last missing offset.
    pub to: Offset,
    /// How many log lines are missing, where it is known.
    pub lines: Option<u64>,
    /// Why: a word for machines, such as `retention`.
    pub reason: &'static str,
}
