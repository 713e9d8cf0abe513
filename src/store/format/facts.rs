//! What a footer says of tasks and workers beside their records, where there is something to say.

use serde::{Deserialize, Serialize};

use crate::domain::ToldEnd;

/// What a footer says of one task beside its record.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store) struct TaskFacts<'a> {
    pub(in crate::store) task: &'a str,
    pub(in crate::store) told_end: Option<ToldEnd>,
    /// By ordinal; those that have nothing to say are left out.
    pub(in crate::store) workers: Vec<(u32, WorkerFacts)>,
}

/// What is known about one worker beside its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(in crate::store) struct WorkerFacts {
    /// The producer's own time of the notification that counts, in milliseconds since the Unix
    /// epoch.
    pub(in crate::store) told_ms: Option<u64>,
    /// The exit code that it told.
    pub(in crate::store) exit_code: Option<i32>,
    /// How many of the worker's streams were cut.
    pub(in crate::store) cut: u32,
    /// How many numbers of its producers never came.
    pub(in crate::store) missing: u64,
    /// The offset of its last notification, where that is not the one that counts.
    pub(in crate::store) outranked: Option<crate::domain::Offset>,
}
