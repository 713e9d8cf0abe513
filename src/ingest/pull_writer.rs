//! Entries that the server fetched itself, on their way to the log.

use super::active_tasks::ActiveTasks;
use super::batch_builder::{BatchBuilder, BuiltBatch};
use super::intake::{Counters, Intake};
use super::reader::IncomingEntry;
use super::status::{Notified, StatusError};
use crate::domain::Cursor;
use crate::encode::StatusParts;
use crate::store::AppendError;

/// What became of fetched entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PullCounts {
    /// How many are kept.
    pub kept: u64,
    /// How many were kept before, by their session and number.
    pub repeated: u64,
    /// How many break a rule and are skipped, with a gap in their task's log where that is known.
    pub dropped: u64,
}

/// Takes fetched entries to the log together with how far the source has been read.
///
/// There is nobody to be answered: where the log has no room it waits, and the source with it.
/// Dropped before [`PullWriter::keep`] it keeps neither the entries nor the cursor, which is no loss.
pub struct PullWriter {
    intake: Intake,
    builder: BatchBuilder,
    cursor: Option<Cursor>,
    active_tasks: ActiveTasks,
}

impl PullWriter {
    /// Nothing yet.
    pub fn new(intake: Intake) -> Self {
        let active_tasks = ActiveTasks::default();
        Self { intake, builder: BatchBuilder::from(1), cursor: None, active_tasks }
    }

    /// Adds an entry, which `cursor` stands for.
    pub fn add(&mut self, item: IncomingEntry, cursor: Cursor) {
        if let Ok(accepted) = &item.entry {
            self.active_tasks.activate(&self.intake.shared().tasks, &accepted.ids.task);
        }
        self.builder.add(item, self.intake.limits().entry_bytes);
        self.cursor = Some(cursor);
    }

    /// Passes over an answer with nothing to keep, which `cursor` stands for.
    pub fn pass(&mut self, cursor: Cursor) {
        self.cursor = Some(cursor);
    }

    /// Whether it is time to keep what there is.
    pub fn is_full(&self) -> bool {
        self.builder.is_full()
    }

    /// Keeps what was added; resolves once that is durable.
    ///
    /// # Errors
    /// When the log takes nothing more; nothing of it is kept then.
    pub async fn keep(&mut self) -> Result<PullCounts, AppendError> {
        let Some(cursor) = self.cursor.take() else { return Ok(PullCounts::default()) };
        let gathered = std::mem::replace(&mut self.builder, BatchBuilder::from(1));
        let BuiltBatch { mut batch, expected, .. } = gathered.finish();
        batch.cursor = Some(cursor);
        let shared = self.intake.shared();
        Counters::add(&shared.counters.bytes, batch.bytes() as u64);
        let committed = shared.log.append(batch).await?.await?;
        let (kept, repeated) = (committed.kept.into(), committed.repeated.into());
        let dropped = expected.dropped_count();
        Counters::add(&shared.counters.kept, kept);
        Counters::add(&shared.counters.repeated, repeated);
        Counters::add(&shared.counters.dropped, dropped);
        Ok(PullCounts { kept, repeated, dropped })
    }

    /// Keeps a status, which `cursor` stands for. What was added before must be kept by now.
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

    /// The source has nothing more for now: no task is carried until more is added.
    pub fn release(&mut self) {
        self.active_tasks.clear();
    }
}
