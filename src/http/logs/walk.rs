//! Reading a range of a task's lines, block by block.

use std::sync::Arc;

use crate::domain::{Block, Entry, Offset, TaskId};
use crate::domain::{Gap, Scope};
use crate::store::{Log, ReadError};
use crate::subscribe::Filter;

/// Payload bytes taken in one read: what a reader holds of the log at a time.
const READ_BYTES: usize = 256 * 1024;

/// Lines from `start` up to and without `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// One reader's way through a range.
pub(super) struct Walk {
    log: Arc<dyn Log>,
    task: TaskId,
    pub(super) range: Range,
    pub(super) filter: Filter,
    cursor: Offset,
    blocks: std::vec::IntoIter<Arc<Block>>,
    /// What went away while the range was being read.
    pub(super) gap: Option<Gap>,
}

impl Walk {
    /// Finds the range's first line.
    pub(super) async fn open(
        log: Arc<dyn Log>,
        task: TaskId,
        range: Range,
        filter: Filter,
    ) -> Result<Self, ReadError> {
        let cursor = log.locate(task.clone(), range.start).await?;
        let blocks = Vec::new().into_iter();
        Ok(Self { log, task, range, filter, cursor, blocks, gap: None })
    }

    /// The next block that may hold lines of the range.
    pub(super) async fn next(&mut self) -> Result<Option<Arc<Block>>, ReadError> {
        loop {
            match self.blocks.next() {
                Some(block) if block.base_line < self.range.end => return Ok(Some(block)),
                Some(_) => return Ok(None),
                None if self.range.start >= self.range.end => return Ok(None),
                None if !self.read().await? => return Ok(None),
                None => {}
            }
        }
    }

    /// Whether there was more.
    async fn read(&mut self) -> Result<bool, ReadError> {
        let scope = Scope::Task(self.task.clone());
        let read = self.log.read(scope, self.cursor, READ_BYTES).await?;
        let end = read.blocks.last().map(|block| block.end());
        let after_gap = read.gap.map(|gap| gap.to.next());
        self.gap = self.gap.or(read.gap);
        self.blocks = read.blocks.into_iter();
        match end.or(after_gap) {
            Some(next) if next > self.cursor => self.cursor = next,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The number of `entry`, when it is a line of the range.
    pub(super) fn line(&self, entry: &Entry<'_>) -> Option<u64> {
        entry.line.filter(|line| (self.range.start..self.range.end).contains(line))
    }
}
