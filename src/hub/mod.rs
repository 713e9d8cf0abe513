//! The live path: the newest blocks of every task, kept once and shared by all who read them.
//!
//! # What it guarantees
//! - A [`LiveWindow`] holds every entry of its scope from its start offset on. A reader whose cursor
//!   is there or later reads here; one before it reads the log until it has caught up. No reader is
//!   disconnected because it is slow.
//! - Memory: the blocks of all windows together stay within one byte budget. The oldest block
//!   of the whole hub goes first.
//! - Readers at one cursor share one [`BlockRange`], which is rendered once. The ranges read last
//!   are kept within a share of the budget; the oldest goes first.
//! - An unfinished line is not in the log. A reader that has all of the log gets the newest one of
//!   each worker and source (`unfinished`), never after the line that it became.
//! - A deleted task has no block in the hub, and its readers are told.
//! - There is no queue per subscriber: a reader keeps a cursor and waits for changes.
//!   A task that nobody reads costs one push per block.
//!
//! # Locks
//! `UnfinishedLines::lines` is never held with another. `Hub::state` before `LiveWindow::blocks` before `RecentRanges::recent`; never the other way round.
//! All are held for a few moves only, and readers are woken after they are released.

mod block_bytes;
mod block_range;
mod live_window;
mod unfinished;

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::counter::Counter;
use crate::domain::{Block, IdMap, Offset, Scope, TaskId};

pub use block_range::BlockRange;
pub use live_window::{LiveWindow, RANGE_BYTES, WindowRead};
pub use unfinished::{ShownUnfinished, UnfinishedLine, UnfinishedSince};

use block_bytes::budgeted_bytes;
use block_range::RecentRanges;
use unfinished::UnfinishedLines;

/// One part in so many of the budget is for ranges and what is rendered from them.
const RANGES_DIVISOR: usize = 4;

/// What of a hub's budget is for blocks. A store in memory keeps as much: the same blocks, shared.
pub const fn hub_blocks_bytes(budget_bytes: usize) -> usize {
    budget_bytes - budget_bytes / RANGES_DIVISOR
}

/// All windows. Clones share them.
#[derive(Clone, Debug)]
pub struct Hub(Arc<HubShared>);

#[derive(Debug)]
struct HubShared {
    budget_bytes: usize,
    /// How many bytes the windows' blocks may count for.
    blocks_bytes: usize,
    replays: ReplayCounters,
    all: Arc<LiveWindow>,
    ranges: Arc<RecentRanges>,
    unfinished: Arc<UnfinishedLines>,
    state: Mutex<HubState>,
}

/// How often readers had to read the log in place of their window.
#[derive(Debug, Default)]
pub struct ReplayCounters {
    /// Reads of the log.
    pub reads: Counter,
    /// Readers of a window that fell behind its start offset.
    pub lags: Counter,
}

#[derive(Debug)]
struct HubState {
    /// Every block in the hub, oldest first: the order of eviction.
    ring: VecDeque<Arc<Block>>,
    bytes: usize,
    tail: Offset,
    windows: IdMap<TaskId, Arc<LiveWindow>>,
    ranges: Arc<RecentRanges>,
}

impl Hub {
    /// A hub that keeps up to `budget_bytes`, for a log that is still empty.
    pub fn new(budget_bytes: usize) -> Self {
        Self::starting_at(Offset::FIRST, budget_bytes)
    }

    /// A hub that keeps up to `budget_bytes`, for a log whose next entry gets the offset `tail`.
    pub fn starting_at(tail: Offset, budget_bytes: usize) -> Self {
        let ranges_bytes = budget_bytes / RANGES_DIVISOR;
        let ranges = Arc::new(RecentRanges::new(ranges_bytes));
        let state = HubState {
            ring: VecDeque::new(),
            bytes: 0,
            tail,
            windows: IdMap::default(),
            ranges: Arc::clone(&ranges),
        };
        Self(Arc::new(HubShared {
            budget_bytes,
            blocks_bytes: hub_blocks_bytes(budget_bytes),
            replays: ReplayCounters::default(),
            all: Arc::new(LiveWindow::new(tail, Arc::clone(&ranges))),
            ranges,
            unfinished: Arc::default(),
            state: Mutex::new(state),
        }))
    }

    /// Adds committed blocks and wakes their readers. Only the committer calls it, in order.
    pub fn publish(&self, blocks: &[Arc<Block>], tail: Offset) {
        let touched = self.0.insert(blocks, tail);
        touched.iter().for_each(|window| window.wake());
        self.0.all.wake();
    }

    /// Forgets the blocks of deleted tasks and tells their readers; only the committer calls it.
    /// What is older than the last of those blocks goes too: a window has everything from its
    /// start offset on, and its readers find the gap in the log.
    pub fn forget(&self, tasks: &[TaskId]) {
        self.0.unfinished.forget(tasks);
        let deleted = self.0.forget(tasks);
        deleted.iter().for_each(|window| window.wake());
        self.0.all.wake();
    }

    /// Subscribes to `scope`. A task without a window gets one that begins at the tail.
    pub fn subscribe(&self, scope: &Scope) -> Subscription {
        let window = match scope {
            Scope::All => Arc::clone(&self.0.all),
            Scope::Task(task) => self.0.lock().window_from_tail(task),
        };
        let deletions = window.deletions();
        Subscription { hub: self.clone(), scope: scope.clone(), window, deletions }
    }

    /// Wakes the readers of `task` although there is no new entry: it may have become complete.
    pub fn wake(&self, task: &TaskId) {
        let window = self.0.lock().windows.get(task).cloned();
        if let Some(window) = window {
            window.wake();
        }
    }

    /// Shows `line` to the readers of its task, in place of what its worker and source had before, for
    /// as long as the result lives.
    pub fn show_unfinished(&self, line: UnfinishedLine) -> ShownUnfinished {
        let task = line.task.clone();
        let shown = self.0.unfinished.show(line);
        self.wake(&task);
        self.0.all.wake();
        shown
    }

    /// How many bytes of the budget windows and ranges take now.
    pub fn bytes(&self) -> usize {
        self.0.lock().bytes + self.0.ranges.bytes()
    }

    /// How many bytes windows and ranges may take.
    pub fn limit_bytes(&self) -> usize {
        self.0.budget_bytes
    }

    /// How often readers had to read the log.
    pub fn replays(&self) -> &ReplayCounters {
        &self.0.replays
    }
}

impl HubShared {
    fn lock(&self) -> std::sync::MutexGuard<'_, HubState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, blocks: &[Arc<Block>], tail: Offset) -> Vec<Arc<LiveWindow>> {
        let mut state = self.lock();
        let mut touched = Vec::with_capacity(blocks.len());
        for block in blocks {
            let window = state.window_from(&block.task, block.base);
            window.push(Arc::clone(block));
            self.all.push(Arc::clone(block));
            state.bytes += budgeted_bytes(block);
            state.ring.push_back(Arc::clone(block));
            touched.push(window);
        }
        state.tail = tail;
        while state.bytes > self.blocks_bytes && state.ring.len() > 1 {
            self.evict_oldest(&mut state);
        }
        touched
    }

    fn forget(&self, tasks: &[TaskId]) -> Vec<Arc<LiveWindow>> {
        let mut state = self.lock();
        let deleted: HashSet<_> = tasks.iter().collect();
        let last = state.ring.iter().rposition(|block| deleted.contains(&block.task));
        for _ in 0..last.map_or(0, |last| last + 1) {
            self.evict_oldest(&mut state);
        }
        self.ranges.forget(&deleted);
        let windows = tasks.iter().filter_map(|task| state.windows.get(task).cloned());
        windows.inspect(|window| window.note_deletion()).collect()
    }

    fn evict_oldest(&self, state: &mut HubState) {
        let Some(block) = state.ring.pop_front() else { return };
        state.bytes -= budgeted_bytes(&block);
        self.all.pop_front();
        if let Some(window) = state.windows.get(&block.task) {
            window.pop_front();
            if is_unused(window) {
                state.windows.remove(&block.task);
            }
        }
    }
}

impl HubState {
    /// The task's window; a new one holds everything from `start_offset` on.
    fn window_from(&mut self, task: &TaskId, start_offset: Offset) -> Arc<LiveWindow> {
        if let Some(window) = self.windows.get(task) {
            return Arc::clone(window);
        }
        let window = Arc::new(LiveWindow::new(start_offset, Arc::clone(&self.ranges)));
        self.windows.insert(task.clone(), Arc::clone(&window));
        window
    }

    fn window_from_tail(&mut self, task: &TaskId) -> Arc<LiveWindow> {
        self.window_from(task, self.tail)
    }

    /// Removes a window that nobody uses.
    fn forget_if_unused(&mut self, task: &TaskId) {
        if self.windows.get(task).is_some_and(is_unused) {
            self.windows.remove(task);
        }
    }
}

/// Whether a window is empty and only the hub still holds it.
fn is_unused(window: &Arc<LiveWindow>) -> bool {
    window.is_empty() && Arc::strong_count(window) == 1
}

/// Lets a reader read a window. An empty window of a task is removed with its last reader.
#[derive(Debug)]
pub struct Subscription {
    hub: Hub,
    scope: Scope,
    window: Arc<LiveWindow>,
    /// The window's deletions when the subscription began.
    deletions: u64,
}

impl Subscription {
    /// What of the scope is unfinished and was shown after `version`. To be asked before the window is
    /// read: where that has nothing more, all lines before these were read.
    pub fn unfinished_since(&self, version: u64) -> UnfinishedSince {
        self.hub.0.unfinished.since(&self.scope, version)
    }

    /// Notes that the reader reads the log, because the window does not reach back to its cursor;
    /// and whether it has read the window before, so that it lags.
    pub fn note_replay(&self, has_lagged: bool) {
        let ReplayCounters { reads, lags } = self.hub.replays();
        reads.add(1);
        lags.add(has_lagged.into());
    }

    /// Whether the task was deleted since the subscription began.
    pub fn is_deleted(&self) -> bool {
        self.window.deletions() > self.deletions
    }
}

impl std::ops::Deref for Subscription {
    type Target = LiveWindow;
    fn deref(&self) -> &LiveWindow {
        &self.window
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Scope::Task(task) = &self.scope {
            let mut state = self.hub.0.lock();
            // So that the hub's map is the only holder when it counts them.
            self.window = Arc::clone(&self.hub.0.all);
            state.forget_if_unused(task);
        }
    }
}

#[cfg(test)]
mod tests;
