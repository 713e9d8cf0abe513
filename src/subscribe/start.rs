//! Where a session begins: turns what the reader asked for into an offset.

use super::source::Source;
use crate::domain::{EventId, Offset, Scope};
use crate::store::ReadError;

/// Where a session begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the first kept entry.
    Beginning,
    /// After the last entry.
    Now,
    /// After the entry that this id names.
    After(EventId),
    /// So many lines before the end.
    Tail(u64),
}

/// Where a session begins, as an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StartPoint {
    /// The first offset wanted.
    pub(super) cursor: Offset,
    /// Whether the reader asked to resume from an id that this store did not give.
    pub(super) is_reset: bool,
}

impl StartPoint {
    /// Where `start` is in `scope`, in a log that ends at `tail`.
    pub(super) async fn find(
        source: &Source,
        scope: &Scope,
        start: Start,
        tail: Offset,
    ) -> Result<Self, ReadError> {
        let cursor = match start {
            Start::Beginning => Offset::FIRST,
            Start::Now => tail,
            Start::After(id) if id.epoch == source.log.epoch() && id.offset < tail => {
                id.offset.next()
            }
            Start::After(_) => {
                let cursor = match scope {
                    Scope::All => tail,
                    Scope::Task(_) => Offset::FIRST,
                };
                return Ok(Self { cursor, is_reset: true });
            }
            Start::Tail(lines) => tail_start(source, scope, lines, tail).await?,
        };
        Ok(Self { cursor, is_reset: false })
    }
}

/// The offset of the line that is `lines` before the end. For all tasks it counts entries.
async fn tail_start(
    source: &Source,
    scope: &Scope,
    lines: u64,
    tail: Offset,
) -> Result<Offset, ReadError> {
    let task = match scope {
        Scope::All => return Ok(Offset(tail.0.saturating_sub(lines).max(1))),
        Scope::Task(task) => task,
    };
    match source.log.task(task).await? {
        Some(summary) if lines > 0 => {
            let line = (summary.last_line + 1).saturating_sub(lines).max(summary.first_line);
            source.log.locate(task.clone(), line).await
        }
        _ => Ok(tail),
    }
}
