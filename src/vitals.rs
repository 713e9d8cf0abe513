//! What an operator asks first: what comes in, what is kept, what is held up.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

use crate::ingest::Intake;
use crate::store::{Log, Store};

/// Reads the numbers of a running server. Clones read the same server.
#[derive(Clone)]
pub struct Vitals {
    intake: Intake,
    store: Store,
}

/// The numbers at one moment; those that count something count from the start of the process.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// What producers sent.
    pub pushed: Pushed,
    /// How the log is.
    pub store: Kept,
}

/// What producers sent.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pushed {
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

/// How the log is.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
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

impl Vitals {
    /// Of a server that takes in by `intake` and keeps in `store`.
    pub fn new(intake: Intake, store: Store) -> Self {
        Self { intake, store }
    }

    /// The numbers now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { pushed: self.pushed(), store: self.kept() }
    }

    fn pushed(&self) -> Pushed {
        let counters = self.intake.counters();
        let count = |counter: &AtomicU64| counter.load(Relaxed);
        Pushed {
            open_streams: self.intake.open_streams(),
            streams: count(&counters.streams),
            kept: count(&counters.kept),
            repeated: count(&counters.repeated),
            dropped: count(&counters.dropped),
            retried: count(&counters.retried),
            bytes: count(&counters.bytes),
        }
    }

    fn kept(&self) -> Kept {
        let stats = self.store.stats();
        let failure = self.store.failure().borrow().clone();
        Kept {
            state: failure.map_or_else(|| "ok".into(), |reason| reason.to_string()),
            pressure: self.store.pressure(),
            segments: stats.segments,
            disk_bytes: stats.disk_bytes,
            commits: stats.commits,
            write_ms: u64::try_from(stats.write_time.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
