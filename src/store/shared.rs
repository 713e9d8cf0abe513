//! What the handle, the committer and readers share.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::catalog::Catalog;
use super::counters::{Counters, Stats};
use super::damage::Damage;
use super::locks::unpoisoned;
use super::log::ReadError;
use super::task_index::TaskIndex;
use super::writing::StallClock;
use super::writing::WriteState;
use crate::domain::{Epoch, Offset};

/// What the handle, the committer and readers share.
#[derive(Debug)]
pub(super) struct StoreShared {
    pub(super) epoch: Epoch,
    /// The queue's free bytes, in units; closed when no more is taken.
    pub(super) queue_permits: Arc<Semaphore>,
    /// The tasks of sealed segments; `None` where there are no files.
    pub(super) index: Option<Arc<TaskIndex>>,
    pub(super) counters: Counters,
    pub(super) damage: Damage,
    pub(super) state: watch::Sender<WriteState>,
    pub(super) stall: StallClock,
    /// Cancelled when the committer's thread panicked.
    pub(super) panicked: CancellationToken,
    catalog: RwLock<Catalog>,
    /// The catalog's tail, readable without its lock; never ahead of it.
    tail: AtomicU64,
}

impl StoreShared {
    pub(super) fn new(
        epoch: Epoch,
        queue_units: usize,
        catalog: Catalog,
        index: Option<Arc<TaskIndex>>,
        damage: Damage,
    ) -> Self {
        Self {
            epoch,
            queue_permits: Arc::new(Semaphore::new(queue_units)),
            index,
            counters: Counters::default(),
            damage,
            state: watch::Sender::new(WriteState::Ok),
            stall: StallClock::default(),
            panicked: CancellationToken::new(),
            tail: AtomicU64::new(catalog.tail.0),
            catalog: RwLock::new(catalog),
        }
    }

    pub(super) fn catalog(&self) -> RwLockReadGuard<'_, Catalog> {
        unpoisoned(self.catalog.read())
    }

    pub(super) fn catalog_mut(&self) -> RwLockWriteGuard<'_, Catalog> {
        unpoisoned(self.catalog.write())
    }

    pub(super) fn tail(&self) -> Offset {
        Offset(self.tail.load(Ordering::Acquire))
    }

    pub(super) fn advance(&self, tail: Offset) {
        self.tail.store(tail.0, Ordering::Release);
    }

    /// Why no more is taken, once that is so.
    pub(super) fn failed(&self) -> Option<Arc<str>> {
        self.state.borrow().failure().cloned()
    }

    /// Takes no more writes, because `what` failed; returns the first reason.
    pub(super) fn poison(&self, what: &str, error: &io::Error) -> Arc<str> {
        tracing::error!(%error, what, "writing failed; the store takes no more entries");
        let reason: Arc<str> = format!("{what} failed: {error}").into();
        self.set_state(WriteState::Failed(Arc::clone(&reason)));
        self.queue_permits.close();
        self.failed().unwrap_or(reason)
    }

    /// Tells `state`, unless a failure was told: that stays.
    pub(super) fn set_state(&self, state: WriteState) {
        self.state.send_if_modified(|told| {
            let changes = told.failure().is_none() && *told != state;
            if changes {
                *told = state;
            }
            changes
        });
    }

    pub(super) fn stats(&self) -> Stats {
        let catalog = self.catalog();
        let counted =
            self.counters.stats(catalog.segments.len(), catalog.disk_bytes(), catalog.bytes);
        Stats { damaged_places: self.damage.count(), ..counted }
    }
}

/// Poisons the store when the committer's thread panics.
pub(super) struct PanicWatch(Arc<StoreShared>);

impl PanicWatch {
    pub(super) fn new(shared: Arc<StoreShared>) -> Self {
        Self(shared)
    }
}

impl Drop for PanicWatch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = io::Error::other("it panicked");
            let _reason = self.0.poison("the committer's thread", &error);
            self.0.panicked.cancel();
        }
    }
}

/// Runs `work` on the blocking pool.
pub(super) fn off_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> BoxFuture<'static, Result<T, ReadError>> {
    let joined = spawn_blocking(work);
    joined
        .map(|result| {
            result.unwrap_or_else(|error| Err(ReadError::Failed(error.to_string().into())))
        })
        .boxed()
}
