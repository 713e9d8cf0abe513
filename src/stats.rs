//! What an operator asks first: what comes in, what is kept, what is held up.

use serde::Serialize;

use crate::counter::Counter;
use crate::ingest::Intake;
use crate::pull;
use crate::store::{Log, Store};

/// Reads the numbers of a running server. Clones read the same server.
#[derive(Clone)]
pub struct ServerStats {
    intake: Intake,
    store: Store,
    pull: pull::Handle,
}

/// The numbers at one moment; those that count something count from the start of the process.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// What producers sent.
    pub pushed: PushStats,
    /// What pull is doing, and what it pulled.
    pub pulled: PullStats,
    /// How the log is.
    pub store: StoreStats,
}

/// What producers sent.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PushStats {
    /// Streams open now.
    pub open_streams: usize,
    /// Streams opened.
    pub streams: u64,
    /// Entries kept.
    pub kept: u64,
    /// Entries sent again that were kept before.
    pub repeated: u64,
    /// Entries refused for good.
    pub dropped: u64,
    /// Entries answered RETRY.
    pub retried: u64,
    /// Bytes of entries, as encoded.
    pub bytes: u64,
}

/// What pull is doing, and what it pulled.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PullStats {
    /// What it is doing, with what is wrong where something is.
    #[serde(flatten)]
    pub state: pull::PullState,
    /// Streams that were asked for.
    pub attempts: u64,
    /// Entries kept.
    pub kept: u64,
    /// Entries that were kept before, by their own numbers.
    pub repeated: u64,
    /// Entries and statuses that break a rule and were skipped.
    pub invalid: u64,
    /// Responses ignored because their cursor was not greater than the one before.
    pub backwards: u64,
    /// Statuses kept, pulled and polled.
    pub statuses: u64,
    /// Polls for statuses that failed.
    pub failed_polls: u64,
}

/// How the log is.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreStats {
    /// `ok`, or why it takes no more writes.
    pub state: String,
    /// How full its queue is, from 0 to 1.
    pub pressure: f32,
    /// Segment files.
    pub segments: usize,
    /// Bytes of those files.
    pub disk_bytes: u64,
    /// Commits; each is one write and, in mode `fsync`, one fsync.
    pub commits: u64,
    /// Time that commits spent on writing and syncing, in milliseconds.
    pub write_ms: u64,
}

impl ServerStats {
    /// Of a server that takes in by `intake` and `pull` and keeps in `store`.
    pub fn new(intake: Intake, pull: pull::Handle, store: Store) -> Self {
        Self { intake, store, pull }
    }

    /// The numbers now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { pushed: self.pushed(), pulled: self.pulled(), store: self.kept() }
    }

    fn pushed(&self) -> PushStats {
        let counters = self.intake.counters();
        let count = Counter::get;
        PushStats {
            open_streams: self.intake.open_streams(),
            streams: count(&counters.streams),
            kept: count(&counters.kept),
            repeated: count(&counters.repeated),
            dropped: count(&counters.dropped),
            retried: count(&counters.retried),
            bytes: count(&counters.bytes),
        }
    }

    fn pulled(&self) -> PullStats {
        let counters = self.pull.counters();
        let count = Counter::get;
        PullStats {
            state: self.pull.state(),
            attempts: count(&counters.attempts),
            kept: count(&counters.kept),
            repeated: count(&counters.repeated),
            invalid: count(&counters.invalid),
            backwards: count(&counters.backwards),
            statuses: count(&counters.statuses),
            failed_polls: count(&counters.failed_polls),
        }
    }

    fn kept(&self) -> StoreStats {
        let stats = self.store.stats();
        let failure = self.store.failure().borrow().clone();
        StoreStats {
            state: failure.map_or_else(|| "ok".into(), |reason| reason.to_string()),
            pressure: self.store.pressure(),
            segments: stats.segments,
            disk_bytes: stats.disk_bytes,
            commits: stats.commits,
            write_ms: u64::try_from(stats.write_time.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
