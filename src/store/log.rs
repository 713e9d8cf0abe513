//! The seam: append a batch, read a range, watch the end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tokio::sync::{oneshot, watch};

use super::counters::Stats;
use super::writing::WriteState;
use crate::domain::{
    Batch, Block, Cursor, Epoch, Gap, Offset, Scope, TaskId, TaskSummary, WorkerId, WorkerSummary,
};

/// What a read found.
#[derive(Debug, Clone)]
pub struct Read {
    /// Entries from the asked offset on that are gone; comes before `blocks`.
    pub gap: Option<Gap>,
    /// The entries in order. The first block may begin before the asked offset.
    pub blocks: Vec<Arc<Block>>,
    /// Where to read on: nothing in scope that was committed when the read began stands
    /// between the last of `blocks` and here.
    pub next: Offset,
}

/// What an appended batch became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// How many entries were kept.
    pub kept: u32,
    /// How many were kept before, by their session and number, and not kept again.
    pub repeated: u32,
}

/// Why a batch is not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// An earlier write or fsync failed; nothing is taken until the store is opened anew.
    #[error("the store takes no more writes: {reason}")]
    Poisoned {
        /// The first failure.
        reason: Arc<str>,
    },
    /// The store is closing, or closed while it waited for a fault to pass.
    #[error("the store is closing")]
    Closed,
}

/// Why a batch was not even queued.
#[derive(Debug)]
pub enum TryAppendError {
    /// The queue is full; here is the batch back.
    Full(Batch),
    /// The log takes nothing more.
    Failed(AppendError),
}

/// Why a read failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// What was kept cannot be read back.
    #[error("the log cannot be read: {0}")]
    Failed(Arc<str>),
}

/// A task as it ends now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskEnd {
    /// Which task.
    pub task: TaskId,
    /// Its last entry.
    pub last: Offset,
}

/// Why tasks are not deleted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeleteError {
    /// The log takes nothing.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// What is known about a task cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Deletions are in memory until a segment is sealed that has an entry.
    #[error(
        "tasks and deletions take {bytes} bytes, the limit is {limit}; an entry must come first"
    )]
    Full {
        /// What the catalog takes.
        bytes: usize,
        /// What it may take.
        limit: usize,
    },
}

/// Whether a task is wanted, by its id.
pub type TaskFilter = Arc<dyn Fn(&TaskId) -> bool + Send + Sync>;

/// Which tasks are asked for.
#[derive(Clone)]
pub struct TaskQuery {
    /// Only those whose last entry is before this one.
    pub before: Option<Offset>,
    /// Not more than so many.
    pub limit: usize,
    /// Not more than so many are looked at: `filter` may hide any number.
    pub max_scanned: usize,
    /// Those whose id passes; all, where there is none.
    pub filter: Option<TaskFilter>,
}

impl TaskQuery {
    pub(super) fn wants(&self, task: &TaskId) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter(task))
    }
}

/// A page of tasks.
#[derive(Debug, Clone, Default)]
pub struct TaskPage {
    /// The one with the newest entry first.
    pub tasks: Vec<TaskSummary>,
    /// Where to go on, as [`TaskQuery::before`]; `None` at the end.
    pub next: Option<Offset>,
}

/// Resolves once the batch is durable under the chosen mode, or never will be.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<Result<Committed, AppendError>>);

impl Receipt {
    /// A receipt, and what resolves it.
    pub fn channel() -> (oneshot::Sender<Result<Committed, AppendError>>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(receiver))
    }
}

impl Future for Receipt {
    type Output = Result<Committed, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|result| result.unwrap_or(Err(AppendError::Closed)))
    }
}

/// The log: append a batch, read a range, watch the end.
///
/// Batches that one producer appends one after another are committed in that order.
pub trait Log: Send + Sync + 'static {
    /// Names this store's lifetime.
    fn epoch(&self) -> Epoch;

    /// Queues `batch` if there are queue permits for it now.
    ///
    /// # Errors
    /// The batch itself when the queue is full; the reason when the log takes nothing more.
    fn try_append(&self, batch: Batch) -> Result<Receipt, TryAppendError>;

    /// Waits for queue permits and queues `batch`. Dropped before it resolves, nothing is queued.
    ///
    /// # Errors
    /// When the log takes nothing more.
    fn append(&self, batch: Batch) -> BoxFuture<'static, Result<Receipt, AppendError>>;

    /// Deletes those of `tasks` that still end where the caller says, durably; returns how many they
    /// were. Nothing of them is read from then on, a later entry begins the task anew, and their
    /// bytes go with the segments. Dropped before it resolves, it may be done all the same.
    ///
    /// # Errors
    /// When nothing was deleted.
    fn delete(&self, tasks: Vec<TaskEnd>) -> BoxFuture<'static, Result<usize, DeleteError>>;

    /// How full the append queue is, 0.0 to 1.0.
    fn pressure(&self) -> f32;

    /// Reads entries in `scope` from `from` on, about `max_bytes` of them (at least one block
    /// where there is one).
    fn read(
        &self,
        scope: Scope,
        from: Offset,
        max_bytes: usize,
    ) -> BoxFuture<'static, Result<Read, ReadError>>;

    /// The offset of `line` of `task`, or of the first kept line after it; the task's end
    /// when there is none.
    fn locate(&self, task: TaskId, line: u64) -> BoxFuture<'static, Result<Offset, ReadError>>;

    /// What is known about one task, with the first hundred of its workers.
    fn task(&self, task: &TaskId) -> BoxFuture<'static, Result<Option<TaskSummary>, ReadError>>;

    /// A page of tasks, the one with the newest entry first, each with a few of its workers.
    fn tasks(&self, query: TaskQuery) -> BoxFuture<'static, Result<TaskPage, ReadError>>;

    /// Up to `limit` tasks whose last entry comes after `after`, the one with the oldest first, each
    /// with a few of its workers; [`TaskPage::next`] is where to go on.
    fn oldest_tasks(
        &self,
        after: Offset,
        limit: usize,
    ) -> BoxFuture<'static, Result<TaskPage, ReadError>>;

    /// How many tasks there are.
    fn task_count(&self) -> BoxFuture<'static, Result<usize, ReadError>>;

    /// Up to `limit` workers of `task` after the first `skip`, in the order in which they appeared.
    fn workers(
        &self,
        task: TaskId,
        skip: usize,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<WorkerSummary>, ReadError>>;

    /// One worker of `task`.
    fn worker(
        &self,
        task: TaskId,
        worker: WorkerId,
    ) -> BoxFuture<'static, Result<Option<WorkerSummary>, ReadError>>;

    /// How far pulled sources have been read, the source advanced last at the end.
    fn cursors(&self) -> Vec<Cursor>;

    /// The offset that the next entry will get. Entries below it are readable.
    fn tail(&self) -> Offset;

    /// A few numbers.
    fn stats(&self) -> Stats;

    /// Whether the log takes entries, and why not.
    fn write_state(&self) -> watch::Receiver<WriteState>;
}
