//! The handle that everyone holds: queues batches, hands reads to the blocking pool.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, TryAcquireError, oneshot, watch};
use tokio::task::spawn_blocking;

use super::chunk::Site;
use super::committer::{Committer, Message, OnCommit, Queued};
use super::data_dir;
use super::directory::{Directory, Segment};
use super::log::{AppendError, Log, Read, ReadError, Receipt, Refused, Scope};
use super::open_error::OpenError;
use super::options::{Durability, Options};
use super::recovery::{self, Recovered};
use super::segment::Active;
use super::settle::Settle;
use super::shared::{Shared, Stats};
use crate::domain::{Batch, Cursor, Epoch, Offset, TaskId, TaskSummary};

/// The queue's room is counted in units of this many bytes.
const ROOM_UNIT_BYTES: usize = 64;

/// What a run takes in the queue beside its records.
const RUN_COST_BYTES: usize = 128;

/// The embedded log. Clones share it.
///
/// When the last clone is dropped, what is queued is still committed, in the background; only
/// [`Store::close`] waits for that.
#[derive(Clone)]
pub struct Store(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    /// Unbounded; what is in it holds a permit of `shared.room`, which bounds it.
    sender: Sender<Message>,
    room_units: usize,
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
pub fn open(options: Options, on_commit: OnCommit) -> Result<Store, OpenError> {
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
    let room_units = options.queue_bytes.div_ceil(ROOM_UNIT_BYTES).max(1);
    let memory = options.durability == Durability::Memory;
    let sizes = (room_units, options.index_cache_bytes);
    let shared = Arc::new(Shared::new((epoch, memory), sizes, directory));
    let (sender, receiver) = mpsc::channel();
    let dir = options.dir.clone();
    let work = (active, next_commit, lock);
    let committer = Committer::new(options, shared.clone(), (receiver, on_commit), work);
    let watch = PanicWatch(shared.clone());
    let thread = thread::Builder::new().name("store-committer".to_owned());
    thread
        .spawn(move || {
            let _watch = watch;
            committer.run();
        })
        .map_err(OpenError::io("start the committer of", &dir))?;
    Ok(Store(Arc::new(Handle { shared, sender, room_units })))
}

/// Poisons the store when the committer's thread panics.
struct PanicWatch(Arc<Shared>);

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
    Recovered { directory, active: Active::without_file(Site::new(epoch.0, base)), next_commit: 1 }
}

impl Store {
    /// Takes no more batches, commits and answers what is queued, and lets the directory go.
    /// Reads go on.
    pub async fn close(&self) {
        self.0.shared.room.close();
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

impl Handle {
    /// How many units of the queue `batch` takes; one that is greater than the queue takes all.
    fn units(&self, batch: &Batch) -> u32 {
        let bytes = batch.bytes() + batch.runs.len() * RUN_COST_BYTES;
        let units = bytes.div_ceil(ROOM_UNIT_BYTES).clamp(1, self.room_units);
        u32::try_from(units).unwrap_or(u32::MAX)
    }

    fn enqueue(&self, batch: Batch, room: OwnedSemaphorePermit) -> Result<Receipt, AppendError> {
        let (receipt, awaited) = Receipt::channel();
        let message = Message::Append(Queued { batch, receipt: Settle::new(receipt), room });
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

    fn try_append(&self, batch: Batch) -> Result<Receipt, Refused> {
        let units = self.0.units(&batch);
        match self.0.shared.room.clone().try_acquire_many_owned(units) {
            Ok(room) => self.0.enqueue(batch, room).map_err(Refused::Failed),
            Err(TryAcquireError::NoPermits) => Err(Refused::Full(batch)),
            Err(TryAcquireError::Closed) => Err(Refused::Failed(self.0.closed_because())),
        }
    }

    fn append(&self, batch: Batch) -> BoxFuture<'static, Result<Receipt, AppendError>> {
        let handle = self.0.clone();
        async move {
            let units = handle.units(&batch);
            let room = handle.shared.room.clone().acquire_many_owned(units).await;
            let room = room.map_err(|_| handle.closed_because())?;
            handle.enqueue(batch, room)
        }
        .boxed()
    }

    fn pressure(&self) -> f32 {
        let free = self.0.shared.room.available_permits() as f32;
        1.0 - free / self.0.room_units as f32
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
