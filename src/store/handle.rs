//! The handle that everyone holds: queues batches, hands reads to the blocking pool.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, TryAcquireError, oneshot, watch};
use tokio::task::spawn_blocking;

use super::ack::AckSender;
use super::chunk::ChecksumSeed;
use super::committer::{Committer, Message, OnCommit, Queued};
use super::data_dir;
use super::directory::{Directory, Segment};
use super::log::{AppendError, Log, Read, ReadError, Receipt, TryAppendError};
use super::open_error::OpenError;
use super::options::{Durability, StoreOptions};
use super::recovery::{self, Recovered};
use super::segment::Active;
use super::shared::{Stats, StoreShared};
use crate::domain::Scope;
use crate::domain::{Batch, Cursor, Epoch, Offset, TaskId, TaskSummary};

/// The queue's queue_permits is counted in units of this many bytes.
const QUEUE_UNIT_BYTES: usize = 64;

/// What a run takes in the queue beside its records.
const RUN_COST_BYTES: usize = 128;

/// The embedded log. Clones share it.
///
/// When the last clone is dropped, what is queued is still committed, in the background; only
/// [`Store::close`] waits for that.
#[derive(Clone)]
pub struct Store(Arc<StoreHandle>);

struct StoreHandle {
    shared: Arc<StoreShared>,
    /// Unbounded; what is in it holds a permit of `shared.queue_permits`, which bounds it.
    sender: Sender<Message>,
    queue_units: usize,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("epoch", &self.0.shared.epoch).finish_non_exhaustive()
    }
}

/// Opens the store in `options.dir`, or makes it; `on_commit` is called after each commit, with
/// its blocks and the new tail, before the commit is acknowledged.
///
/// # Errors
/// A directory that cannot be used, is in use, or holds damaged entries that were durable.
pub fn open(options: StoreOptions, on_commit: OnCommit) -> Result<Store, OpenError> {
    recover(options)?.start(on_commit)
}

/// Locks and recovers the log in `options.dir`, or makes it. For those who need to know its tail
/// before they can say what to do on a commit.
///
/// # Errors
/// As [`open`].
pub fn recover(options: StoreOptions) -> Result<RecoveredStore, OpenError> {
    let options = options.fitted();
    let (epoch, recovered, lock) = if options.durability == Durability::Memory {
        let epoch = data_dir::random_epoch();
        (epoch, without_files(epoch), None)
    } else {
        let lock = data_dir::lock(&options.dir)?;
        let epoch = data_dir::epoch(&options.dir)?;
        (epoch, recovery::recover(&options.dir, epoch, &*options.disk)?, Some(lock))
    };
    let Recovered { directory, active, next_commit } = recovered;
    let queue_units = options.queue_bytes.div_ceil(QUEUE_UNIT_BYTES).max(1);
    let memory = options.durability == Durability::Memory;
    let sizes = (queue_units, options.index_cache_bytes);
    let shared = Arc::new(StoreShared::new((epoch, memory), sizes, directory));
    Ok(RecoveredStore { options, shared, work: (active, next_commit, lock), queue_units })
}

/// A recovered log that takes no batches yet.
pub struct RecoveredStore {
    options: StoreOptions,
    shared: Arc<StoreShared>,
    work: (Active, u64, Option<File>),
    queue_units: usize,
}

impl RecoveredStore {
    /// The offset that the next entry will get.
    pub fn tail(&self) -> Offset {
        self.shared.tail()
    }

    /// Starts to take batches; see [`open`] for `on_commit`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(self, on_commit: OnCommit) -> Result<Store, OpenError> {
        let Self { options, shared, work, queue_units } = self;
        let (sender, receiver) = mpsc::channel();
        let dir = options.dir.clone();
        let committer = Committer::new(options, shared.clone(), (receiver, on_commit), work);
        let watch = PanicWatch(shared.clone());
        let thread = thread::Builder::new().name("store-committer".to_owned());
        thread
            .spawn(move || {
                let _watch = watch;
                committer.run();
            })
            .map_err(OpenError::io("start the committer of", &dir))?;
        Ok(Store(Arc::new(StoreHandle { shared, sender, queue_units })))
    }
}

/// Poisons the store when the committer's thread panics.
struct PanicWatch(Arc<StoreShared>);

impl Drop for PanicWatch {
    fn drop(&mut self) {
        if thread::panicking() {
            let error = io::Error::other("it panicked");
            let _reason = self.0.poison("the committer's thread", &error);
        }
    }
}

fn without_files(epoch: Epoch) -> Recovered {
    let base = Offset::FIRST.0;
    let mut directory = Directory::new();
    directory.begin_segment(Segment::new(base, "".into()), 0);
    Recovered {
        directory,
        active: Active::without_file(ChecksumSeed::new(epoch.0, base)),
        next_commit: 1,
    }
}

impl Store {
    /// Takes no more batches, commits and answers what is queued, and lets the directory go.
    /// Reads go on.
    pub async fn close(&self) {
        self.0.shared.queue_permits.close();
        let (done, closed) = oneshot::channel();
        if self.0.sender.send(Message::Close(done)).is_ok() {
            let _closed_or_already_gone = closed.await;
        }
    }

    /// A few numbers.
    pub fn stats(&self) -> Stats {
        self.0.shared.stats()
    }
}

impl StoreHandle {
    /// How many units of the queue `batch` takes; one that is greater than the queue takes all.
    fn units(&self, batch: &Batch) -> u32 {
        let bytes = batch.bytes() + batch.runs.len() * RUN_COST_BYTES;
        let units = bytes.div_ceil(QUEUE_UNIT_BYTES).clamp(1, self.queue_units);
        u32::try_from(units).unwrap_or(u32::MAX)
    }

    fn enqueue(
        &self,
        batch: Batch,
        queue_permits: OwnedSemaphorePermit,
    ) -> Result<Receipt, AppendError> {
        let (receipt, awaited) = Receipt::channel();
        let message =
            Message::Append(Queued { batch, receipt: AckSender::new(receipt), queue_permits });
        self.sender.send(message).map_err(|_| self.closed_because())?;
        Ok(awaited)
    }

    fn closed_because(&self) -> AppendError {
        match self.shared.failed() {
            Some(reason) => AppendError::Poisoned { reason },
            None => AppendError::Closed,
        }
    }
}

/// Runs `work` on the blocking pool.
fn off_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> BoxFuture<'static, Result<T, ReadError>> {
    let joined = spawn_blocking(work);
    joined
        .map(|outcome| {
            outcome.unwrap_or_else(|error| Err(ReadError::Failed(error.to_string().into())))
        })
        .boxed()
}

impl Log for Store {
    fn epoch(&self) -> Epoch {
        self.0.shared.epoch
    }

    fn try_append(&self, batch: Batch) -> Result<Receipt, TryAppendError> {
        let units = self.0.units(&batch);
        match self.0.shared.queue_permits.clone().try_acquire_many_owned(units) {
            Ok(queue_permits) => {
                self.0.enqueue(batch, queue_permits).map_err(TryAppendError::Failed)
            }
            Err(TryAcquireError::NoPermits) => Err(TryAppendError::Full(batch)),
            Err(TryAcquireError::Closed) => Err(TryAppendError::Failed(self.0.closed_because())),
        }
    }

    fn append(&self, batch: Batch) -> BoxFuture<'static, Result<Receipt, AppendError>> {
        let handle = self.0.clone();
        async move {
            let units = handle.units(&batch);
            let queue_permits = handle.shared.queue_permits.clone().acquire_many_owned(units).await;
            let queue_permits = queue_permits.map_err(|_| handle.closed_because())?;
            handle.enqueue(batch, queue_permits)
        }
        .boxed()
    }

    fn pressure(&self) -> f32 {
        let free = self.0.shared.queue_permits.available_permits() as f32;
        1.0 - free / self.0.queue_units as f32
    }

    fn read(
        &self,
        scope: Scope,
        from: Offset,
        max_bytes: usize,
    ) -> BoxFuture<'static, Result<Read, ReadError>> {
        let shared = self.0.shared.clone();
        off_runtime(move || shared.read(&scope, from, max_bytes))
    }

    fn locate(&self, task: TaskId, line: u64) -> BoxFuture<'static, Result<Offset, ReadError>> {
        let shared = self.0.shared.clone();
        off_runtime(move || shared.locate(&task, line))
    }

    fn task(&self, task: &TaskId) -> Option<TaskSummary> {
        self.0.shared.directory().summary(task)
    }

    fn tasks(&self) -> Vec<TaskSummary> {
        self.0.shared.directory().summaries()
    }

    fn cursors(&self) -> Vec<Cursor> {
        self.0.shared.directory().cursors.to_vec()
    }

    fn tail(&self) -> Offset {
        self.0.shared.tail()
    }

    fn failure(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.0.shared.failure.subscribe()
    }
}
