//! What waits for the committer.

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::ack::AckSender;
use crate::domain::Batch;

/// What the committer is told.
#[derive(Debug)]
pub(in crate::store) enum Message {
    Append(QueuedBatch),
    Close(oneshot::Sender<()>),
}

/// A batch that waits for its commit, and its queue permits.
#[derive(Debug)]
pub(in crate::store) struct QueuedBatch {
    pub(in crate::store) batch: Batch,
    pub(in crate::store) receipt: AckSender,
    pub(in crate::store) queue_permits: OwnedSemaphorePermit,
}
