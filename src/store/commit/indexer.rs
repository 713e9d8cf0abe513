//! The thread that takes sealed segments into the task index, and dropped ones out of it.
//!
//! What it does is not on the way of a commit. The committer hands segments over in order and learns
//! between two commits what is done; only when too much waits does it wait for it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use crate::domain::{Epoch, Offset};
use crate::store::catalog::Segment;
use crate::store::locks::unpoisoned;
use crate::store::task_index::{FooterError, IndexError, TaskIndex, with_footer};
use crate::store::writing::PassingFault;

/// The wait before an update that failed is tried again; doubled each time, up to the longest.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// What is to be done with a sealed segment.
#[derive(Debug)]
pub(super) enum IndexJob {
    /// Its tasks become known to the index.
    Add(Arc<Segment>),
    /// Its file is to go; before that, what the index has of it.
    Remove(Arc<Segment>),
}

/// What was done since it was asked last.
#[derive(Debug, Default)]
pub(super) struct IndexerProgress {
    /// The index has all segments that begin before this offset; `None` where nothing was added.
    pub(super) indexed_to: Option<Offset>,
    /// Segments whose files may go.
    pub(super) removed: Vec<Arc<Segment>>,
}

/// The handle on the thread. Dropped, it lets the thread end after the update under way.
pub(super) struct Indexer(Arc<IndexerShared>, Arc<TaskIndex>);

struct IndexerShared {
    state: Mutex<IndexerState>,
    changed: Condvar,
}

#[derive(Default)]
struct IndexerState {
    jobs: VecDeque<IndexJob>,
    progress: IndexerProgress,
    /// Segments that are handed over and not yet in the index.
    waiting: usize,
    /// Jobs that are handed over and not done.
    unfinished: usize,
    is_closed: bool,
}

impl Indexer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(index: Arc<TaskIndex>, epoch: Epoch) -> io::Result<Self> {
        let shared = Arc::new(IndexerShared { state: Mutex::default(), changed: Condvar::new() });
        index.wait_for_room();
        let worker = IndexThread { shared: Arc::clone(&shared), index: Arc::clone(&index), epoch };
        thread::Builder::new().name("store-indexer".to_owned()).spawn(move || worker.run())?;
        Ok(Self(shared, index))
    }

    /// Hands a segment over.
    pub(super) fn push(&self, job: IndexJob) {
        let mut state = self.0.lock();
        state.waiting += usize::from(matches!(job, IndexJob::Add(_)));
        state.unfinished += 1;
        state.jobs.push_back(job);
        drop(state);
        self.0.changed.notify_all();
    }

    /// What was done since the last call.
    pub(super) fn progress(&self) -> IndexerProgress {
        std::mem::take(&mut self.0.lock().progress)
    }

    /// How many segments wait to become known to the index.
    pub(super) fn waiting(&self) -> usize {
        self.0.lock().waiting
    }

    /// The fault that an update waits for.
    pub(super) fn waits_for(&self) -> Option<PassingFault> {
        self.1.waits_for()
    }

    /// Waits until everything handed over is done, but not longer than `patience`.
    pub(super) fn wait_until_idle(&self, patience: Duration) {
        let state = self.0.lock();
        let is_busy = |state: &mut IndexerState| state.unfinished > 0;
        drop(unpoisoned(self.0.changed.wait_timeout_while(state, patience, is_busy)));
    }

    /// Waits until an update is done, but not longer than `patience`.
    pub(super) fn wait(&self, patience: Duration) {
        let state = self.0.lock();
        let is_idle =
            |state: &mut IndexerState| state.waiting > 0 && state.progress.indexed_to.is_none();
        drop(unpoisoned(self.0.changed.wait_timeout_while(state, patience, is_idle)));
    }
}

impl Drop for Indexer {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.1.give_up();
        self.0.changed.notify_all();
    }
}

impl IndexerShared {
    fn lock(&self) -> MutexGuard<'_, IndexerState> {
        unpoisoned(self.state.lock())
    }
}

/// What the thread works on.
struct IndexThread {
    shared: Arc<IndexerShared>,
    index: Arc<TaskIndex>,
    epoch: Epoch,
}

/// Why an update is not made.
#[derive(Debug, thiserror::Error)]
enum UpdateError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Footer(#[from] FooterError),
}

impl IndexThread {
    fn run(self) {
        while let Some(job) = self.next_job() {
            if !self.run_job(&job) {
                return;
            }
            let mut state = self.shared.lock();
            state.unfinished -= 1;
            match job {
                IndexJob::Add(segment) => {
                    state.waiting -= 1;
                    let sealed = segment.sealed.get();
                    state.progress.indexed_to = sealed.map(|sealed| sealed.end_offset);
                }
                IndexJob::Remove(segment) => state.progress.removed.push(segment),
            }
            drop(state);
            self.shared.changed.notify_all();
        }
    }

    fn next_job(&self) -> Option<IndexJob> {
        let state = self.shared.lock();
        let is_idle = |state: &mut IndexerState| state.jobs.is_empty() && !state.is_closed;
        let mut state = unpoisoned(self.shared.changed.wait_while(state, is_idle));
        if state.is_closed { None } else { state.jobs.pop_front() }
    }

    /// Tries until it is done; false when the store closed meanwhile.
    fn run_job(&self, job: &IndexJob) -> bool {
        let mut retry = FIRST_RETRY;
        while let Err(error) = self.update(job) {
            tracing::error!(%error, ?retry, "the task index cannot be updated, trying again");
            let state = self.shared.lock();
            let is_open = |state: &mut IndexerState| !state.is_closed;
            let waited = self.shared.changed.wait_timeout_while(state, retry, is_open);
            if unpoisoned(waited).0.is_closed {
                return false;
            }
            retry = (2 * retry).min(LONGEST_RETRY);
        }
        true
    }

    fn update(&self, job: &IndexJob) -> Result<(), UpdateError> {
        let (IndexJob::Add(segment) | IndexJob::Remove(segment)) = job;
        let updated = with_footer(self.epoch, segment.base, &segment.path, |footer| {
            let range = footer.range(segment.base);
            match job {
                IndexJob::Add(_) => self.index.add_segment(self.epoch, range, footer.tasks())?,
                IndexJob::Remove(_) => self.index.remove_segment(range, footer.tasks())?,
            }
            Ok(())
        });
        match (updated, job) {
            (Err(error), IndexJob::Remove(_)) if error.is_damage() => {
                Ok(self.index.remove_damaged_segment(segment.base)?)
            }
            (updated, _) => updated?,
        }
    }
}
