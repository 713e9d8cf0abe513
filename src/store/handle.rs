//! The handle that everyone holds: queues batches, hands reads to the blocking pool.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::sync::{OwnedSemaphorePermit, TryAcquireError, oneshot, watch};

use super::catalog::{Catalog, Segment};
use super::commit::{
    AckSender, Committer, FileSegments, MemorySegments, Message, OnCommit, OnDelete, QueuedBatch,
    QueuedDeletion, SegmentWriter, queued_bytes,
};
use super::counters::Stats;
use super::damage::Damage;
use super::data_dir;
use super::format::FilePosition;
use super::limits;
use super::log::{
    AppendError, DeleteError, Log, Read, ReadError, Receipt, TaskEnd, TaskPage, TaskQuery,
    TryAppendError,
};
use super::memory::{MemoryBlocks, MemoryReader};
use super::open_error::OpenError;
use super::options::{Durability, StoreOptions};
use super::read::{OpenFiles, Reader, TaskReader};
use super::recovery::{self, Recovered};
use super::shared::{PanicWatch, StoreShared, off_runtime};
use super::task_index::TaskIndex;
use super::writing::WriteState;
use crate::domain::{
    Batch, Cursor, Epoch, LineNumber, Offset, Scope, TaskId, TaskSummary, WorkerId, WorkerSummary,
};

/// The queue's bytes are counted in units of this many.
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
    reader: Arc<Reader>,
    /// Reads in its place where there are no files.
    memory: Option<Arc<MemoryReader>>,
    /// Unbounded; what is in it holds a permit of `shared.queue_permits`, which bounds it.
    sender: Sender<Message>,
    queue_units: usize,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("epoch", &self.0.shared.epoch).finish_non_exhaustive()
    }
}

/// Opens the store in `options.dir`, or makes it, and starts it: see [`recover`].
///
/// # Errors
/// As [`recover`], and when the system gives no thread.
pub fn open(options: StoreOptions, on_commit: OnCommit) -> Result<Store, OpenError> {
    recover(options)?.start(on_commit)
}

/// Reads what the data directory in `options.dir` has, or makes it.
///
/// # Errors
/// A directory that cannot be used, is in use, or holds damaged entries that were durable.
pub fn recover(options: StoreOptions) -> Result<RecoveredStore, OpenError> {
    let options = options.fitted();
    if options.durability == Durability::Memory {
        return Ok(without_files(options));
    }
    let options = limits::fit(options)?;
    let lock = data_dir::lock(&options.dir)?;
    let epoch = data_dir::epoch(&options.dir)?;
    let Recovered { catalog, index, active, next_commit, damage } =
        recovery::recover(&options, epoch)?;
    let files = Arc::new(OpenFiles::new(options.open_files));
    let segments = FileSegments::new(options.clone(), epoch, active, Arc::clone(&files), lock);
    let segments =
        segments.map_err(OpenError::io("look at", &data_dir::meta_path(&options.dir)))?;
    Ok(RecoveredStore {
        options,
        epoch,
        catalog,
        index: Some(Arc::new(index)),
        segments: Box::new(segments),
        files,
        memory: None,
        next_commit,
        damage,
        on_delete: Box::new(|_| {}),
    })
}

/// A store in memory, which is always new.
fn without_files(options: StoreOptions) -> RecoveredStore {
    if data_dir::holds_a_store(&options.dir) {
        let dir = options.dir.display();
        tracing::warn!("{dir} holds a log that this server does not read: durability is memory");
    }
    let blocks = Arc::new(MemoryBlocks::new(options.memory_bytes));
    RecoveredStore {
        epoch: data_dir::random_epoch(),
        catalog: catalog_without_files(),
        index: None,
        segments: Box::new(MemorySegments::new(&options, Arc::clone(&blocks))),
        files: Arc::new(OpenFiles::new(options.open_files)),
        memory: Some(blocks),
        next_commit: 1,
        damage: Damage::default(),
        on_delete: Box::new(|_| {}),
        options,
    }
}

fn catalog_without_files() -> Catalog {
    let mut catalog = Catalog::new();
    catalog.begin_segment(Segment::new(Offset::FIRST, "".into()), FilePosition(0));
    catalog
}

/// A store whose data directory is read and locked, and that takes nothing yet.
pub struct RecoveredStore {
    options: StoreOptions,
    epoch: Epoch,
    catalog: Catalog,
    /// `None` where there are no files.
    index: Option<Arc<TaskIndex>>,
    segments: Box<dyn SegmentWriter>,
    files: Arc<OpenFiles>,
    /// `None` where there are files.
    memory: Option<Arc<MemoryBlocks>>,
    next_commit: u64,
    damage: Damage,
    on_delete: OnDelete,
}

impl fmt::Debug for RecoveredStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoveredStore").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl RecoveredStore {
    /// The offset that the next entry will get.
    pub fn tail(&self) -> Offset {
        self.catalog.tail
    }

    /// The same, with what is called after each deletion, before its caller learns of it.
    #[must_use]
    pub fn on_delete(self, on_delete: OnDelete) -> Self {
        Self { on_delete, ..self }
    }

    /// Starts the committer; `on_commit` is called after each commit, with its blocks and the new
    /// tail, before the commit is acknowledged.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(self, on_commit: OnCommit) -> Result<Store, OpenError> {
        let Self {
            options,
            epoch,
            catalog,
            index,
            segments,
            files,
            memory,
            next_commit,
            on_delete,
            damage,
        } = self;
        let queue_units = options.queue_bytes.div_ceil(QUEUE_UNIT_BYTES).max(1);
        let shared = Arc::new(StoreShared::new(epoch, queue_units, catalog, index, damage));
        let reader = Arc::new(Reader::new(Arc::clone(&shared), files, options.index_cache_bytes));
        let new_reader = |blocks| Arc::new(MemoryReader::new(Arc::clone(&shared), blocks));
        let memory = memory.map(new_reader);
        let (sender, receiver) = mpsc::channel();
        let committer = Committer::new(
            &options,
            Arc::clone(&shared),
            receiver,
            (on_commit, on_delete),
            segments,
            next_commit,
        );
        let committer = committer.map_err(OpenError::io("start a thread of", &options.dir))?;
        let watch = PanicWatch::new(Arc::clone(&shared));
        let run = move || {
            let _watch = watch;
            committer.run();
        };
        let thread = thread::Builder::new().name("store-committer".to_owned()).spawn(run);
        thread.map_err(OpenError::io("start the committer of", &options.dir))?;
        Ok(Store(Arc::new(StoreHandle { shared, reader, memory, sender, queue_units })))
    }
}

impl Store {
    /// Takes no more batches, commits and acknowledges what is queued, and lets the data directory
    /// go. Reads go on.
    pub async fn close(&self) {
        self.0.shared.queue_permits.close();
        let (done, closed) = oneshot::channel();
        if self.0.sender.send(Message::Close(done)).is_ok() {
            let _closed_or_already_gone = closed.await;
        }
    }

    /// Resolves if the committer's thread panics: nothing more will be committed.
    pub async fn panicked(&self) {
        self.0.shared.panicked.cancelled().await;
    }

    fn tasks_reader(&self) -> TaskReader {
        TaskReader::new(Arc::clone(&self.0.shared), self.0.memory.clone())
    }
}

impl StoreHandle {
    /// How many units of the queue `batch` takes.
    fn units(&self, batch: &Batch) -> u32 {
        self.units_of(batch.bytes() + batch.runs.len() * RUN_COST_BYTES)
    }

    /// As many units as `bytes` take; what is greater than the queue takes all.
    fn units_of(&self, bytes: usize) -> u32 {
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
            Message::Append(QueuedBatch { batch, receipt: AckSender::new(receipt), queue_permits });
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

    fn delete(&self, tasks: Vec<TaskEnd>) -> BoxFuture<'static, Result<usize, DeleteError>> {
        let handle = self.0.clone();
        async move {
            let units = handle.units_of(queued_bytes(&tasks));
            let queue_permits = handle.shared.queue_permits.clone().acquire_many_owned(units).await;
            let queue_permits = queue_permits.map_err(|_| handle.closed_because())?;
            let (done, deleted) = oneshot::channel();
            let message = Message::Delete(QueuedDeletion { tasks, done, queue_permits });
            handle.sender.send(message).map_err(|_| handle.closed_because())?;
            deleted.await.unwrap_or_else(|_| Err(handle.closed_because().into()))
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
        if let Some(memory) = &self.0.memory {
            return ready(Ok(memory.read(&scope, from, max_bytes))).boxed();
        }
        let reader = self.0.reader.clone();
        off_runtime(move || reader.read(&scope, from, max_bytes))
    }

    fn locate(&self, task: TaskId, line: u64) -> BoxFuture<'static, Result<Offset, ReadError>> {
        if let Some(memory) = &self.0.memory {
            return ready(Ok(memory.locate(&task, LineNumber(line)))).boxed();
        }
        let reader = self.0.reader.clone();
        off_runtime(move || reader.locate(&task, LineNumber(line)))
    }

    fn task(&self, task: &TaskId) -> BoxFuture<'static, Result<Option<TaskSummary>, ReadError>> {
        let tasks = self.tasks_reader();
        match tasks.resident(task) {
            Some(summary) => ready(Ok(Some(summary))).boxed(),
            None => {
                let task = task.clone();
                off_runtime(move || tasks.summary(&task))
            }
        }
    }

    fn tasks(&self, query: TaskQuery) -> BoxFuture<'static, Result<TaskPage, ReadError>> {
        let tasks = self.tasks_reader();
        off_runtime(move || tasks.page(&query))
    }

    fn oldest_tasks(
        &self,
        after: Offset,
        limit: usize,
    ) -> BoxFuture<'static, Result<TaskPage, ReadError>> {
        let tasks = self.tasks_reader();
        off_runtime(move || tasks.oldest(after, limit))
    }

    fn task_count(&self) -> BoxFuture<'static, Result<usize, ReadError>> {
        let tasks = self.tasks_reader();
        off_runtime(move || tasks.count())
    }

    fn workers(
        &self,
        task: TaskId,
        skip: usize,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<WorkerSummary>, ReadError>> {
        let tasks = self.tasks_reader();
        off_runtime(move || tasks.workers(&task, skip, limit))
    }

    fn worker(
        &self,
        task: TaskId,
        worker: WorkerId,
    ) -> BoxFuture<'static, Result<Option<WorkerSummary>, ReadError>> {
        let tasks = self.tasks_reader();
        off_runtime(move || tasks.worker(&task, &worker))
    }

    fn cursors(&self) -> Vec<Cursor> {
        self.0.shared.catalog().cursors.to_vec()
    }

    fn tail(&self) -> Offset {
        self.0.shared.tail()
    }

    fn stats(&self) -> Stats {
        let units = self.0.queue_units;
        let used = units.saturating_sub(self.0.shared.queue_permits.available_permits());
        self.0.shared.stats().with_queue(used * QUEUE_UNIT_BYTES, units * QUEUE_UNIT_BYTES)
    }

    fn write_state(&self) -> watch::Receiver<WriteState> {
        self.0.shared.state.subscribe()
    }
}
