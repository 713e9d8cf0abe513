//! What the process's log says of producers, at a bounded rate.

use super::reader::Refusal;
use crate::log_limiter::LogLimiter;

/// How often is logged what producers do.
#[derive(Debug, Default)]
pub(super) struct IntakeLog {
    /// Ends of push streams.
    pub(super) streams: LogLimiter,
    drops: LogLimiter,
}

impl IntakeLog {
    /// Logs why an entry is dropped.
    pub(super) fn note_drop(&self, refusal: &Refusal) {
        let ids = refusal.ids.as_ref();
        let (task, worker) = (ids.map(|ids| ids.task.as_str()), ids.map(|ids| ids.worker.as_str()));
        let reason = refusal.reason.as_str();
        self.drops.log(|dropped| tracing::warn!(task, worker, reason, dropped, "entries dropped"));
    }
}
