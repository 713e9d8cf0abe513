//! The numbers of a running server, as `/health` and [`crate::metrics`] show them.

use std::sync::Arc;

use serde::Serialize;

use crate::connections::ConnectionLimit;
use crate::counter::Counter;
use crate::histogram::HistogramSnapshot;
use crate::ingest::{Intake, Registry};
use crate::pull;
use crate::store::{Log, Stats};

/// Takes snapshots of a running server's numbers. Clones read the same server.
#[derive(Clone)]
pub struct ServerStats {
    intake: Intake,
    registry: Registry,
    log: Arc<dyn Log>,
    pull: pull::Handle,
    connections: ConnectionLimit,
}

/// The numbers at one moment. Counts begin with the process.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// What producers sent.
    pub pushed: PushStats,
    /// What pull is doing, and what it pulled.
    pub pulled: PullStats,
    /// The state and size of the store.
    pub store: StoreStats,
    /// Connections to both ports.
    pub connections: ConnectionStats,
}

/// What producers sent.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PushStats {
    /// Streams open now.
    pub open_streams: usize,
    /// How many may be open.
    #[serde(skip)]
    pub stream_limit: usize,
    /// Streams opened.
    pub streams: u64,
    /// Entries kept.
    pub kept: u64,
    /// Entries sent again that were kept before.
    pub repeated: u64,
    /// Entries refused, which sending again does not change.
    pub dropped: u64,
    /// Entries answered RETRY.
    pub retried: u64,
    /// Bytes of entries, as encoded.
    pub bytes: u64,
    /// Bytes that messages and entries take now on their way to the append queue, of those that
    /// --ingest-bytes allows.
    pub held_bytes: usize,
    /// How many bytes may be held so.
    #[serde(skip)]
    pub held_limit_bytes: usize,
    /// From the reading of a batch to its acks, in nanoseconds.
    #[serde(skip)]
    pub ack_latency: HistogramSnapshot,
    /// Batches whose acks asked their producer to wait.
    #[serde(skip)]
    pub throttled: u64,
    /// For how long together, in milliseconds.
    #[serde(skip)]
    pub throttle_ms: u64,
    /// Batches that found the append queue full.
    #[serde(skip)]
    pub queue_waits: u64,
    /// Streams refused because --max-push-streams were open.
    pub refused_streams: u64,
    /// Other calls refused because too many were open.
    pub refused_calls: u64,
    /// Messages refused because --ingest-bytes had no memory for them in time.
    pub refused_for_memory: u64,
    /// Messages that did not arrive whole in time.
    pub late_messages: u64,
    /// Workers that are registered now.
    pub registered_workers: usize,
    /// How many may be registered.
    #[serde(skip)]
    pub registered_worker_limit: usize,
    /// Registrations refused because --max-registered-workers, or half of them for one task, were
    /// taken.
    pub refused_registrations: u64,
}

/// What pull is doing, and what it pulled.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PullStats {
    /// What it is doing; where it fails, why.
    #[serde(flatten)]
    pub state: pull::PullState,
    /// Streams that were requested.
    pub attempts: u64,
    /// Entries kept.
    pub kept: u64,
    /// Entries fetched again that were kept before.
    pub repeated: u64,
    /// Entries and statuses that were skipped because they break a rule.
    pub invalid: u64,
    /// Responses ignored because their cursor was not greater than the one before.
    pub backwards: u64,
    /// Statuses kept, pulled and polled.
    pub statuses: u64,
    /// Polls for statuses that failed.
    pub failed_polls: u64,
}

/// The state and size of the store.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreStats {
    /// `ok`, or why it takes no entries.
    pub state: String,
    /// The name of that state.
    #[serde(skip)]
    pub write_state: &'static str,
    /// All that the store counts.
    #[serde(skip)]
    pub stats: Stats,
    /// How full the append queue is, from 0 to 1.
    pub pressure: f32,
    /// Segment files.
    pub segments: usize,
    /// Bytes of the segment files.
    pub disk_bytes: u64,
    /// Segments that retention deleted.
    pub deleted_segments: u64,
    /// Places of the files that are damaged, as far as they were read since the start.
    pub damaged_places: usize,
    /// Tasks that were deleted.
    pub deleted_tasks: u64,
    /// Tasks that grew beyond --task-bytes.
    pub trimmed_tasks: u64,
    /// Lines from the middle of such tasks that are not shown any more.
    pub trimmed_lines: u64,
    /// Commits; each is one write and, in mode `fsync`, one fsync.
    pub commits: u64,
    /// Time spent on writing and syncing commits, in milliseconds.
    pub write_ms: u64,
}

/// Connections to both ports.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionStats {
    /// Open now.
    pub open: usize,
    /// How many may be open at once, which the limit of open files decides.
    pub limit: usize,
    /// Refused because as many were open as may be.
    pub refused: u64,
}

impl ServerStats {
    /// Numbers of the server that receives entries by `intake` and `pull`, keeps them in `log`,
    /// registers workers in `registry`, and has `connections`.
    pub fn new(
        intake: Intake,
        registry: Registry,
        pull: pull::Handle,
        log: Arc<dyn Log>,
        connections: ConnectionLimit,
    ) -> Self {
        Self { intake, registry, log, pull, connections }
    }

    /// The numbers now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            pushed: self.pushed(),
            pulled: self.pulled(),
            store: self.stored(),
            connections: self.connected(),
        }
    }

    fn pushed(&self) -> PushStats {
        let counters = self.intake.counters();
        let count = Counter::get;
        PushStats {
            open_streams: self.intake.open_streams(),
            stream_limit: self.intake.limits().streams,
            streams: count(&counters.streams),
            kept: count(&counters.kept),
            repeated: count(&counters.repeated),
            dropped: count(&counters.dropped),
            retried: count(&counters.retried),
            bytes: count(&counters.bytes),
            held_bytes: self.intake.budget().used_bytes(),
            held_limit_bytes: self.intake.budget().limit_bytes(),
            ack_latency: counters.ack_latency.snapshot(),
            throttled: count(&counters.throttled),
            throttle_ms: count(&counters.throttle_ms),
            queue_waits: count(&counters.queue_waits),
            refused_streams: count(&counters.refused_streams),
            refused_calls: count(&counters.refused_calls),
            refused_for_memory: self.intake.budget().refused(),
            late_messages: self.intake.budget().late(),
            registered_workers: self.registry.in_use(),
            registered_worker_limit: self.registry.limit(),
            refused_registrations: self.registry.refused(),
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

    fn connected(&self) -> ConnectionStats {
        let Self { connections, .. } = self;
        let (open, limit) = (connections.open(), connections.limit());
        ConnectionStats { open, limit, refused: connections.refused() }
    }

    fn stored(&self) -> StoreStats {
        let stats = self.log.stats();
        let state = self.log.write_state().borrow().clone();
        StoreStats {
            write_state: state.name(),
            stats,
            state: state.reason().map_or_else(|| "ok".into(), ToString::to_string),
            pressure: self.log.pressure(),
            segments: stats.segments,
            disk_bytes: stats.disk_bytes,
            deleted_segments: stats.deleted_segments,
            damaged_places: stats.damaged_places,
            deleted_tasks: stats.deleted_tasks,
            trimmed_tasks: stats.trimmed_tasks,
            trimmed_lines: stats.trimmed_lines,
            commits: stats.commits,
            write_ms: u64::try_from(stats.write_time.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
