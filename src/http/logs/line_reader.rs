//! Reading a range of a task's lines, block by block.

use std::collections::VecDeque;
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
    /// The next entry that is wanted.
    from: Offset,
    /// Where the next read begins.
    cursor: Offset,
    /// What was read, from the block of `from` on.
    blocks: VecDeque<Arc<Block>>,
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
        let blocks = VecDeque::new();
        Ok(Self { log, task, range, filter, from: cursor, cursor, blocks, gap: None })
    }

    /// A reader of another range of the same lines.
    pub(super) async fn reopen(self, range: LineRange) -> Result<Self, ReadError> {
        Self::open(self.log, self.task, range, self.filter).await
    }

    /// The block of the next entry that is wanted, where it may hold lines of the range. Reads
    /// the log where it is not there.
    pub(super) async fn block(&mut self) -> Result<Option<Arc<Block>>, ReadError> {
        loop {
            match self.blocks.front().cloned() {
                Some(block) if block.end() <= self.from => drop(self.blocks.pop_front()),
                Some(block) if block.base_line < self.range.end => return Ok(Some(block)),
                Some(_) => return Ok(None),
                None if self.range.start >= self.range.end => return Ok(None),
                None if !self.read().await? => return Ok(None),
                None => {}
            }
        }
    }

    /// The next entry that is wanted is `from` or a later one.
    pub(super) fn go_on_at(&mut self, from: Offset) {
        self.from = from;
    }

    /// The next entry that is wanted.
    pub(super) fn from(&self) -> Offset {
        self.from
    }

    /// Whether there is nothing left of what was read.
    pub(super) fn is_drained(&self) -> bool {
        self.blocks.back().is_none_or(|block| block.end() <= self.from)
    }

    /// Bytes of what was read.
    pub(super) fn held_bytes(&self) -> usize {
        self.blocks.iter().map(|block| block.payload.len()).sum()
    }

    /// Forgets what was read, to be read again from the next entry on.
    pub(super) fn forget(&mut self) {
        if !self.is_drained() {
            self.cursor = self.from;
        }
        self.blocks = VecDeque::new();
    }

    /// Reads the next blocks; returns whether there were any.
    async fn read(&mut self) -> Result<bool, ReadError> {
        let scope = Scope::Task(self.task.clone());
        let read = self.log.read(scope, self.cursor, READ_BYTES).await?;
        let end = read.blocks.last().map(|block| block.end());
        let after_gap = read.gap.map(|gap| gap.to.next());
        self.gap = self.gap.or(read.gap);
        self.blocks = read.blocks.into();
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
