//! What the process's log says of producers, at a bounded rate.

use std::time::Duration;

use super::reader::Refusal;
use crate::log_limiter::LogLimiter;

/// Lines of one kind at once, and the time after which there may be one more.
const BURST: u32 = 50;
const INTERVAL: Duration = Duration::from_millis(200);

/// How often is logged what producers do.
#[derive(Debug)]
pub(super) struct IntakeLog {
    /// Ends of push streams.
    pub(super) streams: LogLimiter,
    drops: LogLimiter,
}

impl Default for IntakeLog {
    fn default() -> Self {
        let limiter = || LogLimiter::new(BURST, INTERVAL);
        Self { streams: limiter(), drops: limiter() }
    }
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
