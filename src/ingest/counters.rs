//! What is counted on the way in.

use std::time::Duration;

use crate::counter::Counter;
use crate::histogram::DurationHistogram;
use crate::store::Committed;

/// What has been taken in since the start, pushed and pulled.
#[derive(Debug, Default)]
pub struct IntakeCounters {
    /// Entries kept.
    pub kept: Counter,
    /// Entries that were kept before and were sent again.
    pub repeated: Counter,
    /// Entries dropped because they break a rule.
    pub dropped: Counter,
    /// Entries acknowledged with RETRY.
    pub retried: Counter,
    /// Bytes of entries, as encoded.
    pub bytes: Counter,
    /// From the reading of a pushed batch's first entry to its acks, for batches that are kept.
    pub ack_latency: DurationHistogram,
    /// Batches whose acks asked their producer to wait.
    pub throttled: Counter,
    /// For how long together, in milliseconds.
    pub throttle_ms: Counter,
    /// Batches that found the append queue full.
    pub queue_waits: Counter,
    /// Streams opened.
    pub streams: Counter,
    /// Streams refused because as many as allowed were open.
    pub refused_streams: Counter,
    /// Calls that do not push refused because as many as allowed were open.
    pub refused_calls: Counter,
}

impl IntakeCounters {
    /// Entries that were decided, whatever became of them.
    pub fn answered(&self) -> u64 {
        [&self.kept, &self.repeated, &self.dropped, &self.retried].map(Counter::get).iter().sum()
    }

    /// Counts a pushed batch that is acknowledged as kept after it `waited`, where it had entries to
    /// keep, and the wait that its acks ask for.
    pub(super) fn add_acked(&self, waited: Option<Duration>, throttle_ms: u32) {
        if let Some(waited) = waited {
            self.ack_latency.add(waited);
        }
        self.throttled.add(u64::from(throttle_ms > 0));
        self.throttle_ms.add(throttle_ms.into());
    }

    /// Counts a batch that was committed, and the entries dropped beside it.
    pub(super) fn add_committed(&self, committed: Committed, dropped: u64) {
        self.kept.add(committed.kept.into());
        self.repeated.add(committed.repeated.into());
        self.dropped.add(dropped);
    }
}
