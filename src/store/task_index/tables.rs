//! The database's tables.

use redb::{TableDefinition, WriteTransaction};

use super::error::IndexError;

/// Task and the segment's first offset, to a `SpanRow`.
pub(super) const SPANS: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("spans");

/// Task, to a `TaskRow`.
pub(super) const TASKS: TableDefinition<&str, &[u8]> = TableDefinition::new("tasks");

/// A task's last offset, to the task.
pub(super) const NEWEST: TableDefinition<u64, &str> = TableDefinition::new("newest");

/// Task and ordinal, to a `WorkerRecord` and its `WorkerFacts`.
pub(super) const WORKERS: TableDefinition<(&str, u32), &[u8]> = TableDefinition::new("workers");

/// Task and worker, to the worker's ordinal.
pub(super) const ORDINALS: TableDefinition<(&str, &str), u32> = TableDefinition::new("ordinals");

/// A deleted task, to a `DeletionRow`.
pub(super) const DELETED: TableDefinition<&str, &[u8]> = TableDefinition::new("deleted");

/// A task whose middle is hidden, to a `TrimRow`.
pub(super) const TRIMMED: TableDefinition<&str, &[u8]> = TableDefinition::new("trimmed");

/// How far the index has come.
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

/// Makes the tables where they are missing, so that readers find them.
pub(super) fn create_tables(write: &WriteTransaction) -> Result<(), IndexError> {
    write.open_table(SPANS)?;
    write.open_table(TASKS)?;
    write.open_table(NEWEST)?;
    write.open_table(WORKERS)?;
    write.open_table(ORDINALS)?;
    write.open_table(DELETED)?;
    write.open_table(TRIMMED)?;
    write.open_table(META)?;
    Ok(())
}
