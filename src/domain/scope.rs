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

impl Gap {
    /// The reason of entries whose task was deleted.
    pub const DELETED: &'static str = "deleted";
    /// The reason of entries that the limit on their task's bytes has taken.
    pub const TASK_LIMIT: &'static str = "task_limit";
    /// The reason where a sender cut its stream, so that what it had not sent is missing.
    pub const CUT: &'static str = "cut";
    /// The reason where a producer's numbers leave some out.
    pub const NUMBERING: &'static str = "numbering";
}

/// Says for people how many lines are missing, where it is known, and why.
pub fn describe_gap(lines: Option<u64>, reason: &str) -> String {
    if reason == Gap::CUT {
        return "the sender cut its stream here: what it had not sent is missing, how many lines is \
                unknown"
            .into();
    }
    match lines {
        Some(1) => format!("1 line is missing here: {reason}"),
        Some(lines) => format!("{lines} lines are missing here: {reason}"),
        None => format!("an unknown number of lines is missing here: {reason}"),
    }
}

/// How many lines of a task are lost, in words: what `cut_workers` workers had not sent is not in `lines`.
pub fn describe_lost(lines: u64, cut_workers: u32) -> String {
    match (lines, cut_workers) {
        (lines, 0) => lines.to_string(),
        (0, _) => "some".into(),
        (lines, _) => format!("{lines} or more"),
    }
}
