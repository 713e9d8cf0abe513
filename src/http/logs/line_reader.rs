//! Reading a range of a task's lines, block by block.

use std::collections::VecDeque;
use std::sync::Arc;

use super::missing::MissingLines;
use crate::domain::{Block, Gap, Offset, Scope, TaskId};
use crate::store::{Log, ReadError};
use crate::subscribe::{Filter, LineFilter, LineParts};

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
    /// The first line that the log had when the request came.
    first_kept: u64,
    /// The number of the next line, unless it is missing.
    next_line: u64,
    /// The next entry that is wanted.
    from: Offset,
    /// Where the next read begins.
    cursor: Offset,
    /// What was read, from the block of `from` on.
    blocks: VecDeque<Arc<Block>>,
    /// Entries that are gone before the first of `blocks`, for one reason after another.
    gaps: Vec<Gap>,
    /// Whether the task was deleted meanwhile: what comes now is another one's.
    is_deleted: bool,
}

impl LineReader {
    /// Finds the first line of `range`, in a log whose first line is `first_kept`. Where the range
    /// begins before that, or with line 1, what is missing there is read too.
    pub(super) async fn open(
        log: Arc<dyn Log>,
        task: TaskId,
        range: LineRange,
        filter: Filter,
        first_kept: u64,
    ) -> Result<Self, ReadError> {
        let cursor = match range.start {
            start if start <= 1 || start < first_kept => Offset::FIRST,
            start => log.locate(task.clone(), start).await?,
        };
        let (next_line, blocks) = (range.start, VecDeque::new());
        let from = cursor;
        Ok(Self {
            log,
            task,
            range,
            filter,
            first_kept,
            next_line,
            from,
            cursor,
            blocks,
            gaps: Vec::new(),
            is_deleted: false,
        })
    }

    /// A reader of another range of the same lines.
    pub(super) async fn reopen(self, range: LineRange) -> Result<Self, ReadError> {
        Self::open(self.log, self.task, range, self.filter, self.first_kept).await
    }

    /// Lets `filter` find out about a line in parts.
    pub(super) async fn look_up(
        &self,
        filter: &mut LineFilter,
        parts: LineParts,
    ) -> Result<(), ReadError> {
        filter.look_up(&*self.log, &self.task, parts).await
    }

    /// The block of the next entry that is wanted, where it may hold lines of the range or gaps
    /// right behind them. Reads the log where it is not there.
    pub(super) async fn block(&mut self) -> Result<Option<Arc<Block>>, ReadError> {
        loop {
            match self.blocks.front().cloned() {
                Some(block) if block.end() <= self.from => drop(self.blocks.pop_front()),
                Some(block) if block.base_line <= self.range.end => return Ok(Some(block)),
                Some(_) => return Ok(None),
                None if self.range.is_empty() || self.is_deleted => return Ok(None),
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
        read.gap.into_iter().for_each(|gap| self.add_gap(gap));
        if read.gap.is_some_and(|gap| gap.reason == Gap::DELETED) {
            self.is_deleted = true;
            return Ok(false);
        }
        self.blocks = read.blocks.into();
        match end.or(after_gap) {
            Some(next) if next > self.cursor => self.cursor = next,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Notes that `line` comes next in the log.
    pub(super) fn note_line(&mut self, line: u64) {
        self.next_line = line + 1;
    }

    /// The number of the line that was read last.
    pub(super) fn last_line(&self) -> u64 {
        self.next_line - 1
    }

    /// Adds a gap behind those before it: nothing that is kept stands between them.
    fn add_gap(&mut self, gap: Gap) {
        match self.gaps.last_mut() {
            Some(last) if last.reason == gap.reason => {
                last.to = gap.to;
                last.lines = last.lines.zip(gap.lines).map(|(some, more)| some + more);
            }
            _ => self.gaps.push(gap),
        }
    }

    /// What is missing before `block`, or before the end of the range; told once.
    pub(super) fn missing_before(&mut self, block: Option<&Block>) -> Vec<MissingLines> {
        let end = self.range.end;
        let next = block.map_or(end, |block| block.base_line.min(end));
        let (lines, after_line) = (next.saturating_sub(self.next_line), self.last_line());
        let mut gaps = std::mem::take(&mut self.gaps);
        if lines == 0 {
            // Its entries were no lines: what is between two lines is known by their numbers.
            gaps.retain(|gap| gap.lines.is_none());
        } else if gaps.is_empty() {
            gaps.push(self.hole_before(block));
        }
        self.next_line = self.next_line.max(next);
        let others: Option<u64> = gaps.iter().skip(1).map(|gap| gap.lines).sum();
        let of_first = others.and_then(|others| lines.checked_sub(others));
        let of_first = of_first.filter(|lines| *lines > 0);
        let lines = |at, gap: &Gap| if at == 0 { of_first } else { gap.lines };
        let gaps = gaps.into_iter().enumerate();
        gaps.map(|(at, gap)| MissingLines::lost(gap, lines(at, &gap), after_line)).collect()
    }

    /// Lines that the log passed over when the first line of the range was looked for.
    fn hole_before(&self, block: Option<&Block>) -> Gap {
        let to = block.map_or(self.cursor, |block| block.base).0.saturating_sub(1);
        let from = self.from.min(Offset(to));
        Gap { from, to: Offset(to), lines: None, reason: "unknown" }
    }
}

impl LineRange {
    /// Whether there is nothing to read. Before line 1 there may still be gaps.
    fn is_empty(self) -> bool {
        self.start > self.end || (self.start == self.end && self.start > 1)
    }
}
