//! Reads of what is kept in memory; the same answers as a read of files gives.

use std::collections::VecDeque;
use std::sync::Arc;

use super::blocks::{KeptBlocks, MemoryBlocks, TaskBlock};
use crate::domain::{Block, Gap, LineNumber, Offset, Scope, TaskId, TaskSummary};
use crate::store::catalog::Task;
use crate::store::log::Read;
use crate::store::read::deleted_gap;
use crate::store::shared::StoreShared;

/// Why entries are missing that have left the memory.
const REASON: &str = "memory";

/// Reads what is committed and still kept.
#[derive(Debug)]
pub(in crate::store) struct MemoryReader {
    shared: Arc<StoreShared>,
    blocks: Arc<MemoryBlocks>,
}

/// Where the log and a task ended at one moment. Blocks from `tail` on belong to a commit that was
/// not published then, and are not read.
struct Ends {
    tail: Offset,
    /// The offset after the task's last entry; `None` where there is no such task.
    task: Option<Offset>,
    /// The number of its last line; 0 where it has none.
    last_line: u64,
    /// What the task had before this offset was deleted.
    deleted_to: Option<Offset>,
}

impl MemoryReader {
    pub(in crate::store) fn new(shared: Arc<StoreShared>, blocks: Arc<MemoryBlocks>) -> Self {
        Self { shared, blocks }
    }

    /// Reads entries in `scope` from `from` on; see [`crate::store::Log::read`].
    pub(in crate::store) fn read(&self, scope: &Scope, from: Offset, max_bytes: usize) -> Read {
        let from = from.max(Offset::FIRST);
        match scope {
            Scope::All => {
                let tail = self.shared.catalog().tail;
                read_all(&self.blocks.lock(), from, max_bytes, tail)
            }
            Scope::Task(task) => {
                let ends = self.ends(task);
                read_task(self.blocks.lock().tasks.get(task), from, max_bytes, &ends)
            }
        }
    }

    /// The offset of `line` of `task`; see [`crate::store::Log::locate`].
    pub(in crate::store) fn locate(&self, task: &TaskId, line: LineNumber) -> Offset {
        let Ends { tail, task: Some(end), .. } = self.ends(task) else {
            return self.shared.tail();
        };
        let kept = self.blocks.lock();
        let found = kept.tasks.get(task).and_then(|blocks| {
            let at = blocks.partition_point(|kept| end_line(&kept.block) <= line.0);
            let block = &blocks.get(at).filter(|kept| kept.block.base < tail)?.block;
            let is_wanted = |found: u64| found >= line.0;
            block
                .entries()
                .find(|entry| entry.line.is_some_and(is_wanted))
                .map(|entry| entry.offset)
        });
        found.unwrap_or(end)
    }

    /// Says in `summary` which of the task's lines are still kept.
    pub(in crate::store) fn note_kept(&self, summary: &mut TaskSummary) {
        let tail = self.shared.catalog().tail;
        let kept = self.blocks.lock();
        let end = summary.last_line + 1;
        let first = kept.tasks.get(&summary.task).and_then(VecDeque::front);
        match first.filter(|first| first.block.base < tail) {
            Some(first) => {
                summary.first_offset = first.block.base;
                summary.first_line = first.block.base_line.min(end);
            }
            None => summary.first_line = end,
        }
    }

    fn ends(&self, task: &TaskId) -> Ends {
        let catalog = self.shared.catalog();
        let deleted_to = catalog.deletions.of(task);
        let task = catalog.tasks.get(task);
        Ends {
            deleted_to,
            tail: catalog.tail,
            task: task.and_then(Task::last).map(Offset::next),
            last_line: task.map_or(0, |task| task.next_line().0 - 1),
        }
    }
}

fn end_line(block: &Block) -> u64 {
    block.base_line + u64::from(block.lines)
}

fn read_all(kept: &KeptBlocks, from: Offset, max_bytes: usize, tail: Offset) -> Read {
    let start = kept.start.min(tail);
    let gap = (from < start).then(|| gap(from, Offset(start.0 - 1), None));
    let at = kept.ring.partition_point(|block| block.end() <= from);
    let first = kept.ring.get(at).map_or(tail, |block| block.base.min(tail));
    let hole = (from.max(start) < first).then(|| deleted_gap(from.max(start), first));
    if let (Some(gap), Some(_)) = (gap, hole) {
        return Read { gap: Some(gap), blocks: Vec::new(), next: gap.to.next() };
    }
    let mut end = first;
    let adjoining = kept.ring.range(at..).take_while(|block| {
        let adjoins = block.base <= end;
        end = block.end();
        adjoins
    });
    let read = take(adjoining, gap.or(hole), from, max_bytes, tail);
    let next = read.blocks.last().map_or(read.next, |last| last.end());
    Read { next, ..read }
}

fn read_task(
    blocks: Option<&VecDeque<TaskBlock>>,
    from: Offset,
    max_bytes: usize,
    ends: &Ends,
) -> Read {
    let none = VecDeque::new();
    let blocks = blocks.unwrap_or(&none);
    let at = blocks.partition_point(|kept| kept.block.end() <= from);
    let first = blocks.get(at).filter(|first| first.block.base < ends.tail);
    let lines = |lost: u64| (from == Offset::FIRST).then_some(lost);
    let gap = match first {
        Some(first) => first
            .previous
            .filter(|previous| *previous >= from)
            .map(|previous| gap(from, previous, lines(first.block.base_line - 1))),
        None => {
            let end = ends.task.filter(|end| from < *end);
            end.map(|end| gap(from, Offset(end.0 - 1), lines(ends.last_line)))
        }
    };
    let deleted_to = ends.deleted_to.filter(|end| Offset::FIRST < from && from < *end);
    let gap = match (gap, deleted_to) {
        (None, Some(end)) => Some(deleted_gap(from, end)),
        (gap, _) => gap,
    };
    take(blocks.range(at..).map(|kept| &kept.block), gap, from, max_bytes, ends.tail)
}

fn gap(from: Offset, to: Offset, lines: Option<u64>) -> Gap {
    Gap { from, to, lines, reason: REASON }
}

/// About `max_bytes` of `blocks`, at least one where there is one before `tail`.
fn take<'a>(
    blocks: impl Iterator<Item = &'a Arc<Block>>,
    gap: Option<Gap>,
    from: Offset,
    max_bytes: usize,
    tail: Offset,
) -> Read {
    let (mut taken, mut bytes) = (Vec::new(), 0);
    for block in blocks.take_while(|block| block.base < tail) {
        if !taken.is_empty() && bytes >= max_bytes {
            let next = taken.last().map_or(from, |block: &Arc<Block>| block.end());
            return Read { gap, blocks: taken, next };
        }
        bytes += block.payload.len();
        taken.push(Arc::clone(block));
    }
    Read { gap, blocks: taken, next: from.max(tail) }
}
