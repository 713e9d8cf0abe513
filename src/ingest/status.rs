//! Worker status notifications: they are kept in the task's log, except for repeats.

use serde_json::{Map, Value};

use super::intake::Intake;
use crate::domain::{
    Batch, Cursor, Kind, Offset, Outcome, Records, Run, Scope, TaskId, UnknownOutcome, WorkerId,
};
use crate::encode::{CachedClock, StatusParts, read_body, write_end_of_task, write_status};
use crate::store::{AppendError, ReadError};

/// Status metadata that tells the task's end, with the value `end`.
pub(super) const TASK_KEY: &str = "otto.task";

/// Status metadata that says how the task ended, beside [`TASK_KEY`].
pub(super) const OUTCOME_KEY: &str = "otto.outcome";

/// Stands for a worker in a run that is of a task alone.
const NO_WORKER: &str = "otto-handler";

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
    /// Its metadata names no outcome.
    #[error("{OUTCOME_KEY} is {0}")]
    Outcome(#[from] UnknownOutcome),
    /// Its metadata says something else of the task than its end.
    #[error("{TASK_KEY} is {0:?}, it needs end")]
    OfTask(String),
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
        let told_end = told_end(&parts)?;
        let mut records = Records::default();
        let clock = CachedClock::now();
        let kind = Kind::Status(parts.state);
        records.push_with(kind, |out| write_status(out, &parts, clock.as_str()));
        let (bytes, limit) = (records.as_bytes().len(), self.limits().entry_bytes);
        if bytes > limit {
            return Err(StatusError::TooLarge { bytes, limit });
        }
        if let Some(outcome) = told_end {
            push_end(&mut records, &task, outcome, &clock);
        }
        let run = Run { task, worker, session: None, records };
        if self.repeats_last(&run).await? {
            return Ok(Notified::Repeated);
        }
        self.append(Batch { cursor, ..Batch::of(vec![run]) }).await?;
        Ok(Notified::Kept)
    }

    /// Keeps that a task is over, and how it ended where that is told.
    ///
    /// # Errors
    /// Says why it is not kept.
    pub async fn end_task(
        &self,
        task: &TaskId,
        outcome: Option<Outcome>,
    ) -> Result<(), StatusError> {
        let mut records = Records::default();
        push_end(&mut records, task, outcome, &CachedClock::now());
        let worker = WorkerId::new(NO_WORKER)?;
        self.append(Batch::of(vec![Run { task: task.clone(), worker, session: None, records }]))
            .await
    }

    async fn append(&self, batch: Batch) -> Result<(), StatusError> {
        let shared = self.shared();
        let append = shared.log.append(batch);
        let queued = tokio::time::timeout(shared.limits.stall_timeout, append).await;
        queued.map_err(|_elapsed| StatusError::Stalled)??.await?;
        Ok(())
    }

    /// Whether `run` repeats the worker's last status, or the one that counts.
    async fn repeats_last(&self, run: &Run) -> Result<bool, ReadError> {
        let known = self.shared().log.worker(run.task.clone(), run.worker.clone()).await?;
        let Some(worker) = known else { return Ok(false) };
        let last = worker.last_status.filter(|last| Some(*last) != worker.state_offset);
        for offset in worker.state_offset.into_iter().chain(last) {
            if self.repeats(run, offset).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn repeats(&self, run: &Run, offset: Offset) -> Result<bool, ReadError> {
        let log = &self.shared().log;
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

fn push_end(records: &mut Records, task: &TaskId, outcome: Option<Outcome>, clock: &CachedClock) {
    records.push_with(Kind::End, |out| {
        write_end_of_task(out, task.as_str(), outcome, clock.as_str());
    });
}

/// The end of its task that a status tells, with its outcome where it has one.
fn told_end(parts: &StatusParts<'_>) -> Result<Option<Option<Outcome>>, StatusError> {
    let value = |key| parts.metadata.iter().find(|(known, _)| *known == key).map(|(_, text)| *text);
    match value(TASK_KEY) {
        None => Ok(None),
        Some("end") => Ok(Some(value(OUTCOME_KEY).map(str::parse).transpose()?)),
        Some(other) => Err(StatusError::OfTask(other.chars().take(64).collect())),
    }
}

/// What the producer sent: the body without what we added.
fn sent(body: &[u8]) -> Option<Map<String, Value>> {
    let mut sent: Map<String, Value> = read_body(body)?;
    let received_at = sent.remove("receivedAt");
    if sent.get("timestamp") == received_at.as_ref() {
        sent.remove("timestamp");
    }
    Some(sent)
}
