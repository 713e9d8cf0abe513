//! What the handle, the committer and readers share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LockResult, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::directory::Directory;
use super::files::Files;
use super::index::IndexCache;
use super::retention::disk_bytes;
use crate::domain::{Epoch, Offset};

/// A few numbers about a store, since its opening where they count something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Segments, with the active one.
    pub segments: usize,
    /// Bytes of the segments' files.
    pub disk_bytes: u64,
    /// About what the list of tasks and workers takes in memory, in bytes.
    pub directory_bytes: usize,
    /// Commits that kept something.
    pub commits: u64,
    /// Chunks written.
    pub chunks: u64,
    /// Entries kept.
    pub entries: u64,
    /// Bytes written by commits.
    pub written_bytes: u64,
    /// Time that commits spent on writing and syncing.
    pub write_time: Duration,
}

/// What is counted as it happens.
#[derive(Debug, Default)]
pub(super) struct Counters {
    commits: AtomicU64,
    chunks: AtomicU64,
    entries: AtomicU64,
    written_bytes: AtomicU64,
    write_nanos: AtomicU64,
}

impl Counters {
    pub(super) fn note_commit(&self, chunks: usize, entries: u64) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.chunks.fetch_add(chunks as u64, Ordering::Relaxed);
        self.entries.fetch_add(entries, Ordering::Relaxed);
    }

    pub(super) fn note_write(&self, bytes: usize, took: Duration) {
        self.written_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.write_nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

/// What the handle, the committer and readers share.
#[derive(Debug)]
pub(super) struct StoreShared {
    pub(super) epoch: Epoch,
    /// Whether there are no files.
    pub(super) memory: bool,
    /// Room in the queue, in units of bytes; closed when no more is taken.
    pub(super) queue_permits: Arc<Semaphore>,
    pub(super) files: Files,
    pub(super) indexes: IndexCache,
    pub(super) counters: Counters,
    pub(super) failure: watch::Sender<Option<Arc<str>>>,
    directory: RwLock<Directory>,
    /// The directory's tail, readable without its lock; never ahead of it.
    tail: AtomicU64,
}

impl StoreShared {
    pub(super) fn new(
        (epoch, memory): (Epoch, bool),
        (queue_units, index_cache_bytes): (usize, usize),
        directory: Directory,
    ) -> Self {
        Self {
            epoch,
            memory,
            queue_permits: Arc::new(Semaphore::new(queue_units)),
            files: Files::default(),
            indexes: IndexCache::new(index_cache_bytes),
            counters: Counters::default(),
            failure: watch::Sender::new(None),
            tail: AtomicU64::new(directory.tail),
            directory: RwLock::new(directory),
        }
    }

    pub(super) fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        unpoisoned(self.directory.read())
    }

    pub(super) fn directory_mut(&self) -> RwLockWriteGuard<'_, Directory> {
        unpoisoned(self.directory.write())
    }

    pub(super) fn tail(&self) -> Offset {
        Offset(self.tail.load(Ordering::Acquire))
    }

    pub(super) fn advance(&self, tail: Offset) {
        self.tail.store(tail.0, Ordering::Release);
    }

    /// Why no more is taken, once that is so.
    pub(super) fn failed(&self) -> Option<Arc<str>> {
        self.failure.borrow().clone()
    }

    /// Takes no more writes, because `what` failed; returns the first reason.
    pub(super) fn poison(&self, what: &str, error: &std::io::Error) -> Arc<str> {
        tracing::error!(%error, what, "writing failed; the store takes no more entries");
        let reason: Arc<str> = format!("{what} failed: {error}").into();
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert_with(|| reason.clone());
            first
        });
        self.queue_permits.close();
        self.failed().unwrap_or(reason)
    }

    pub(super) fn stats(&self) -> Stats {
        let directory = self.directory();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            segments: directory.segments.len(),
            disk_bytes: disk_bytes(&directory),
            directory_bytes: directory.bytes,
            commits: count(&self.counters.commits),
            chunks: count(&self.counters.chunks),
            entries: count(&self.counters.entries),
            written_bytes: count(&self.counters.written_bytes),
            write_time: Duration::from_nanos(count(&self.counters.write_nanos)),
        }
    }
}

/// A lock's content, also after a holder panicked: no invariant spans two critical sections.
pub(super) fn unpoisoned<T>(locked: LockResult<T>) -> T {
    locked.unwrap_or_else(PoisonError::into_inner)
}
