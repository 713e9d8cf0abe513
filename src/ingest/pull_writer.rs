//! Entries that the server pulled itself, on their way to the log.

use super::active_tasks::ActiveTasks;
use super::batch_builder::{BatchBuilder, BuiltBatch};
use super::intake::Intake;
use super::reader::IncomingEntry;
use super::status::{Notified, StatusError};
use crate::domain::Cursor;
use crate::encode::{LineLimits, StatusParts};
use crate::store::AppendError;

/// What became of pulled entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PullCounts {
    /// How many are kept.
    pub kept: u64,
    /// How many were kept before, by their session and number.
    pub repeated: u64,
    /// How many break a rule and are dropped, with a gap in their task's log where it is known.
    pub dropped: u64,
}

/// Writes pulled entries to the log together with the cursor up to which the source was read.
///
/// It sends no acks: while the log's queue is full it waits, and the source with it. Dropped
/// before [`PullWriter::commit`] it keeps neither the entries nor the cursor, so the next pull
/// asks for the same entries again.
pub struct PullWriter {
    intake: Intake,
    builder: BatchBuilder,
    cursor: Option<Cursor>,
    active_tasks: ActiveTasks,
}

impl PullWriter {
    /// A writer that holds nothing yet.
    pub fn new(intake: Intake) -> Self {
        let active_tasks = ActiveTasks::default();
        Self { intake, builder: BatchBuilder::starting_at(1), cursor: None, active_tasks }
    }

    /// How long the lines that are added may be.
    pub fn line_limits(&self) -> LineLimits {
        self.intake.limits().line_limits()
    }

    /// Adds an entry; `cursor` is its place in the source.
    pub fn add(&mut self, incoming: IncomingEntry, cursor: Cursor) {
        match &incoming.entry {
            Ok(accepted) if accepted.is_unfinished => return self.skip_to(cursor),
            Ok(accepted) => {
                self.active_tasks.activate(&self.intake.shared().tasks, &accepted.ids.task);
            }
            Err(refusal) => self.intake.shared().log_lines.note_drop(refusal),
        }
        self.builder.add(incoming);
        self.cursor = Some(cursor);
    }

    /// Moves on to `cursor`, where the source has nothing to keep.
    pub fn skip_to(&mut self, cursor: Cursor) {
        self.cursor = Some(cursor);
    }

    /// Whether it is time to commit.
    pub fn is_full(&self) -> bool {
        self.builder.is_full()
    }

    /// Appends what was added; resolves once that is durable.
    ///
    /// # Errors
    /// When the log takes nothing more; nothing of it is kept then.
    pub async fn commit(&mut self) -> Result<PullCounts, AppendError> {
        let Some(cursor) = self.cursor.take() else { return Ok(PullCounts::default()) };
        let builder = std::mem::replace(&mut self.builder, BatchBuilder::starting_at(1));
        let BuiltBatch { mut batch, pending_acks, .. } = builder.finish();
        batch.cursor = Some(cursor);
        let shared = self.intake.shared();
        shared.counters.bytes.add(batch.bytes() as u64);
        let committed = shared.log.append(batch).await?.await?;
        let dropped = pending_acks.dropped_count();
        shared.counters.add_committed(committed, dropped);
        Ok(PullCounts { kept: committed.kept.into(), repeated: committed.repeated.into(), dropped })
    }

    /// Keeps a status with its `cursor`. What was added before must be committed by now.
    ///
    /// # Errors
    /// Says why it is not kept.
    pub async fn notify(
        &mut self,
        parts: StatusParts<'_>,
        cursor: Cursor,
    ) -> Result<Notified, StatusError> {
        self.intake.notify_at(parts, Some(cursor)).await
    }

    /// The source has nothing more for now: no task is active until more is added.
    pub fn release(&mut self) {
        self.active_tasks.release();
    }
}
