//! Worker status notifications: they are kept in the task's log, except for repeats.

use serde_json::{Map, Value};

use super::intake::Intake;
use crate::domain::{Batch, Cursor, Kind, Records, Run, Scope, TaskId, WorkerId};
use crate::encode::{CachedClock, StatusParts, write_status};
use crate::store::{AppendError, ReadError};

/// What became of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notified {
    /// It is durable.
    Kept,
    /// An exact repeat of the worker's last one.
    Repeated,
}

/// Why a notification is not kept.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// An id is invalid.
    #[error(transparent)]
    Id(#[from] crate::domain::IdError),
    /// The notification is too large.
    #[error("notification is {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// The found size, encoded.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The log takes nothing more.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The worker's last status cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log's queue stayed full for the stall timeout.
    #[error("the log's queue stayed full")]
    Stalled,
}

impl Intake {
    /// Keeps a status, unless it repeats the worker's last one.
    ///
    /// # Errors
    /// Says why it is not kept.
    pub async fn notify(&self, parts: StatusParts<'_>) -> Result<Notified, StatusError> {
        self.notify_at(parts, None).await
    }

    /// The same for a status that was pulled; `cursor` is kept in the same commit.
    ///
    /// # Errors
    /// As [`Intake::notify`].
    pub async fn notify_at(
        &self,
        parts: StatusParts<'_>,
        cursor: Option<Cursor>,
    ) -> Result<Notified, StatusError> {
        let task = TaskId::new(parts.task_id)?;
        let worker = WorkerId::new(parts.worker_id)?;
        let mut records = Records::default();
        let clock = CachedClock::now();
        let kind = Kind::Status(parts.state);
        records.push_with(kind, |out| write_status(out, &parts, clock.as_str()));
        let (bytes, limit) = (records.as_bytes().len(), self.limits().entry_bytes);
        if bytes > limit {
            return Err(StatusError::TooLarge { bytes, limit });
        }
        let run = Run { task, worker, session: None, records };
        if self.repeats_last(&run).await? {
            return Ok(Notified::Repeated);
        }
        self.append(Batch { cursor, ..Batch::of(vec![run]) }).await?;
        Ok(Notified::Kept)
    }

    async fn append(&self, batch: Batch) -> Result<(), StatusError> {
        let shared = self.shared();
        let append = shared.log.append(batch);
        let queued = tokio::time::timeout(shared.limits.stall_timeout, append).await;
        queued.map_err(|_elapsed| StatusError::Stalled)??.await?;
        Ok(())
    }

    async fn repeats_last(&self, run: &Run) -> Result<bool, ReadError> {
        let log = &self.shared().log;
        let known = log.worker(run.task.clone(), run.worker.clone()).await?;
        let Some(offset) = known.and_then(|worker| worker.state_offset) else { return Ok(false) };
        let read = log.read(Scope::Task(run.task.clone()), offset, 1).await?;
        let mut entries = read.blocks.iter().flat_map(|block| block.entries());
        let last = entries.find(|entry| entry.offset == offset);
        let new = run.records.iter().next();
        Ok(match (last, new) {
            (Some(last), Some((kind, body))) => last.kind == kind && sent(last.body) == sent(body),
            _ => false,
        })
    }
}

/// What the producer sent: the body without what we added.
fn sent(body: &[u8]) -> Option<Map<String, Value>> {
    let mut sent: Map<String, Value> = serde_json::from_slice(&[b"{", body].concat()).ok()?;
    let received_at = sent.remove("receivedAt");
    if sent.get("timestamp") == received_at.as_ref() {
        sent.remove("timestamp");
    }
    Some(sent)
}
