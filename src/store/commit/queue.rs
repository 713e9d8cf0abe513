//! What waits for the committer.

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::ack::AckSender;
use crate::domain::Batch;
use crate::store::log::{DeleteError, TaskEnd};

/// What the committer is told.
#[derive(Debug)]
pub(in crate::store) enum Message {
    Append(QueuedBatch),
    Delete(QueuedDeletion),
    Close(oneshot::Sender<()>),
}

/// A batch that waits for its commit, and its queue permits.
#[derive(Debug)]
pub(in crate::store) struct QueuedBatch {
    pub(in crate::store) batch: Batch,
    pub(in crate::store) receipt: AckSender,
    pub(in crate::store) queue_permits: OwnedSemaphorePermit,
}

/// A deletion that waits for the committer, and its queue permits.
#[derive(Debug)]
pub(in crate::store) struct QueuedDeletion {
    pub(in crate::store) tasks: Vec<TaskEnd>,
    pub(in crate::store) done: oneshot::Sender<Result<usize, DeleteError>>,
    pub(in crate::store) queue_permits: OwnedSemaphorePermit,
}

/// The queue's share that a deletion takes, in bytes.
pub(in crate::store) fn queued_bytes(tasks: &[TaskEnd]) -> usize {
    tasks.iter().map(|end| size_of::<TaskEnd>() + end.task.as_str().len()).sum()
}
