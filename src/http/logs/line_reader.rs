//! Reading a range of a task's lines, block by block.

use std::sync::Arc;

use crate::domain::{Block, Entry, Gap, Offset, Scope, TaskId};
use crate::store::{Log, ReadError};
use crate::subscribe::Filter;

/// Payload bytes taken in one read, which bounds what a reader holds of the log.
const READ_BYTES: usize = 256 * 1024;

/// Line numbers from `start` up to but not including `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LineRange {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// Reads one range of a task's log, in order.
pub(super) struct LineReader {
    log: Arc<dyn Log>,
    task: TaskId,
    pub(super) range: LineRange,
    pub(super) filter: Filter,
    cursor: Offset,
    blocks: std::vec::IntoIter<Arc<Block>>,
    /// Entries that retention removed while the range was being read.
    pub(super) gap: Option<Gap>,
}

impl LineReader {
    /// Finds the first line of `range`.
    pub(super) async fn open(
        log: Arc<dyn Log>,
        task: TaskId,
        range: LineRange,
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

    /// Reads the next blocks; returns whether there were any.
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
