//! What all producers' streams share.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::counters::IntakeCounters;
use crate::store::Log;
use crate::tasks::Tasks;

/// Bounds on what producers may do.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest entry, in bytes on the wire.
    pub entry_bytes: usize,
    /// How many streams may push at once.
    pub streams: usize,
    /// How long a batch waits while the log's queue is full, before its entries are acknowledged
    /// with RETRY.
    pub stall_timeout: Duration,
}

/// The way in. Clones share it.
#[derive(Clone)]
pub struct Intake(Arc<IntakeShared>);

pub(super) struct IntakeShared {
    pub(super) log: Arc<dyn Log>,
    pub(super) tasks: Tasks,
    pub(super) limits: Limits,
    pub(super) counters: IntakeCounters,
    pub(super) drain: CancellationToken,
    streams: Arc<Semaphore>,
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

/// A stream's place among the permitted ones.
#[derive(Debug)]
pub struct StreamPermit {
    _permit: OwnedSemaphorePermit,
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
        let streams = Arc::new(Semaphore::new(limits.streams));
        let counters = IntakeCounters::default();
        let pushes = Arc::new(watch::Sender::new(Pushes { open: 0, last_end: Instant::now() }));
        Self(Arc::new(IntakeShared { log, tasks, limits, counters, drain, streams, pushes }))
    }

    /// A place for one more stream; `None` when there are as many as may be.
    pub fn permit(&self) -> Option<StreamPermit> {
        let permit = Arc::clone(&self.0.streams).try_acquire_owned().ok()?;
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
        self.0.limits.streams - self.0.streams.available_permits()
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Resolves once every stream has ended and what it sent is settled, cancelled ones too.
    pub async fn drained(&self) {
        let all = u32::try_from(self.0.limits.streams).unwrap_or(u32::MAX);
        drop(self.0.streams.acquire_many(all).await);
    }

    pub(super) fn shared(&self) -> &IntakeShared {
        &self.0
    }
}
