//! What all producers' streams share.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::budget::{IngestBudget, LEAST_MESSAGE_BYTES};
use super::counters::IntakeCounters;
use super::cut::Resumptions;
use super::intake_log::IntakeLog;
use crate::encode::LineLimits;
use crate::permits::{Permit, Permits};
use crate::store::Log;
use crate::tasks::Tasks;

/// Bounds on what producers may do.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest entry, in bytes on the wire; a longer line is kept in parts.
    pub entry_bytes: usize,
    /// The longest line, in bytes; of a longer one its head is kept.
    pub line_bytes: usize,
    /// How many streams may push at once.
    pub streams: usize,
    /// How long a batch waits while the log's queue is full, before its entries are acknowledged
    /// with RETRY.
    pub stall_timeout: Duration,
    /// How long an idle stream is silent at most before its last ACK comes again.
    pub idle_ack: Duration,
    /// What messages and entries may take in memory before they are in the log's queue, in bytes.
    pub budget_bytes: usize,
}

impl Limits {
    /// The usual [`Limits::idle_ack`]: well below the 30 s of the most impatient proxies.
    pub const IDLE_ACK: Duration = Duration::from_secs(20);

    /// The largest message of a push, in bytes: a whole line and what an entry has beside it, as far
    /// as half of the memory holds that.
    pub fn message_bytes(&self) -> usize {
        let largest = self.line_bytes + self.entry_bytes;
        largest.min(self.budget_bytes / 2).max(LEAST_MESSAGE_BYTES)
    }

    /// How long entries and lines may be. The parts of a line take half of the memory at most.
    pub fn line_limits(&self) -> LineLimits {
        let Self { entry_bytes, line_bytes, budget_bytes, .. } = *self;
        LineLimits { entry_bytes, line_bytes, encoded_bytes: budget_bytes / 2 }
    }
}

/// The way in. Clones share it.
#[derive(Clone)]
pub struct Intake(Arc<IntakeShared>);

pub(super) struct IntakeShared {
    pub(super) log: Arc<dyn Log>,
    pub(super) tasks: Tasks,
    pub(super) limits: Limits,
    pub(super) counters: IntakeCounters,
    pub(super) log_lines: IntakeLog,
    pub(super) drain: CancellationToken,
    pub(super) resumptions: Resumptions,
    budget: IngestBudget,
    streams: Permits,
    pushes: Arc<watch::Sender<Pushes>>,
}

/// Whether somebody pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushes {
    /// Streams that are open.
    pub open: usize,
    /// When the last one ended; the start of the server while there was none.
    pub last_end: Instant,
}

/// Allows one stream to push; counted among the open ones until it is dropped.
#[derive(Debug)]
pub struct StreamPermit {
    _permit: Permit,
    pushes: Arc<watch::Sender<Pushes>>,
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        self.pushes.send_modify(|pushes| {
            pushes.open -= 1;
            pushes.last_end = Instant::now();
        });
    }
}

impl Intake {
    /// A way into `log`. When `drain` is cancelled, streams take what has arrived and end.
    pub fn new(log: Arc<dyn Log>, tasks: Tasks, limits: Limits, drain: CancellationToken) -> Self {
        let streams = Permits::new(limits.streams);
        let counters = IntakeCounters::default();
        let pushes = Arc::new(watch::Sender::new(Pushes { open: 0, last_end: Instant::now() }));
        let budget = IngestBudget::new(limits.budget_bytes, limits.message_bytes());
        Self(Arc::new(IntakeShared {
            log,
            tasks,
            limits,
            counters,
            log_lines: IntakeLog::default(),
            drain,
            resumptions: Resumptions::default(),
            budget,
            streams,
            pushes,
        }))
    }

    /// A permit for one more stream; `None` when as many as allowed are open.
    pub fn permit(&self) -> Option<StreamPermit> {
        let Some(permit) = self.0.streams.try_acquire() else {
            self.0.counters.refused_streams.add(1);
            return None;
        };
        self.0.counters.streams.add(1);
        let pushes = Arc::clone(&self.0.pushes);
        pushes.send_modify(|pushes| pushes.open += 1);
        Some(StreamPermit { _permit: permit, pushes })
    }

    /// Whether somebody pushes, to be watched.
    pub fn pushes(&self) -> watch::Receiver<Pushes> {
        self.0.pushes.subscribe()
    }

    /// What has been taken in.
    pub fn counters(&self) -> &IntakeCounters {
        &self.0.counters
    }

    /// How many streams push now.
    pub fn open_streams(&self) -> usize {
        self.0.streams.in_use()
    }

    /// Memory for what has not reached the log's queue.
    pub fn budget(&self) -> &IngestBudget {
        &self.0.budget
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Resolves once every stream has ended and what it sent is decided, of cancelled ones too.
    pub async fn drained(&self) {
        self.0.streams.all_released().await;
    }

    /// The log that entries go to.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.0.log
    }

    pub(super) fn shared(&self) -> &IntakeShared {
        &self.0
    }
}
