//! Batches on their way to the disk.

use futures_util::future::BoxFuture;
use tokio::time::error::Elapsed;

use super::super::acks::PendingAcks;
use super::super::batch_builder::LostLines;
use crate::store::{AppendError, Receipt};

/// `Err` when the stall timeout passed.
pub(super) type AppendInTime = BoxFuture<'static, Result<Result<Receipt, AppendError>, Elapsed>>;

/// A batch that waits because the log's queue is full.
pub(super) struct PendingAppend {
    pub(super) append: AppendInTime,
    pub(super) pending_acks: PendingAcks,
    /// What is lost when it stalls: its own lines, and those of the gaps in it.
    pub(super) losses: Vec<LostLines>,
}

/// A batch whose acks are due once its state is final.
pub(super) struct InFlight {
    pub(super) state: BatchState,
    pub(super) pending_acks: PendingAcks,
}

pub(super) enum BatchState {
    /// It is in the log's queue.
    Queued(Receipt),
    /// All its entries are dropped, so there is nothing to append.
    Empty,
    /// The log's queue stayed full for the stall timeout.
    Stalled,
}
