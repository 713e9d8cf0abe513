//! The live path: the newest blocks of every task, kept once and shared by all who watch.
//!
//! # What it guarantees
//! - A [`LiveWindow`] holds every entry of its scope from its start_offset on. A reader at or past the
//!   start_offset reads here; one below it reads the log until it has caught up. Nobody is disconnected.
//! - Memory: the blocks of all windows together stay within one byte budget. The oldest block
//!   of the whole hub goes first.
//! - Readers at one cursor get one [`BlockRange`], and what is rendered from it is made once. The
//!   ranges read last are kept within a share of the budget; the oldest goes first.
//! - There is no queue per subscriber: a reader keeps a cursor and is woken by a `watch`.
//!   A task that nobody reads costs one push per block.
//!
//! # Locks
//! `Hub::state` before `LiveWindow::blocks` before `RecentRanges::recent`; never the other way round.
//! All are held for a few moves only, and the wake comes after they are released.

mod block_range;
mod window;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::Scope;
use crate::domain::{Block, IdMap, Offset, TaskId};

pub use block_range::BlockRange;
pub use window::{LiveWindow, RANGE_BYTES, Read};

use block_range::RecentRanges;

/// What a block is reckoned to cost beside its payload: its own fields and its places in two windows.
const BLOCK_OVERHEAD_BYTES: usize = 256;

/// The part of the budget that ranges and what is rendered from them may take.
const RANGES_SHARE: usize = 4;

/// All windows. Clones share them.
#[derive(Clone, Debug)]
pub struct Hub(Arc<HubShared>);

#[derive(Debug)]
struct HubShared {
    /// What the windows' blocks may take.
    blocks_bytes: usize,
    all: Arc<LiveWindow>,
    ranges: Arc<RecentRanges>,
    state: Mutex<HubState>,
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
        let ranges_bytes = budget_bytes / RANGES_SHARE;
        let ranges = Arc::new(RecentRanges::new(ranges_bytes));
        let state = HubState {
            ring: VecDeque::new(),
            bytes: 0,
            tail,
            windows: IdMap::default(),
            ranges: Arc::clone(&ranges),
        };
        Self(Arc::new(HubShared {
            blocks_bytes: budget_bytes - ranges_bytes,
            all: Arc::new(LiveWindow::new(tail, Arc::clone(&ranges))),
            ranges,
            state: Mutex::new(state),
        }))
    }

    /// Adds committed blocks and changes their readers. Only the committer calls it, in order.
    pub fn publish(&self, blocks: &[Arc<Block>], tail: Offset) {
        let touched = self.0.insert(blocks, tail);
        touched.iter().for_each(|window| window.wake());
        self.0.all.wake();
    }

    /// The window of `scope`, made when there is none.
    pub fn watch(&self, scope: &Scope) -> Subscription {
        let window = match scope {
            Scope::All => Arc::clone(&self.0.all),
            Scope::Task(task) => self.0.lock().window_from_tail(task),
        };
        Subscription { hub: self.clone(), scope: scope.clone(), window }
    }

    /// Wakes the readers of `task` without a new entry, for something else that they wait for.
    pub fn wake(&self, task: &TaskId) {
        let window = self.0.lock().windows.get(task).cloned();
        if let Some(window) = window {
            window.wake();
        }
    }

    /// Bytes that windows and ranges hold now, as reckoned against the budget.
    pub fn bytes(&self) -> usize {
        self.0.lock().bytes + self.0.ranges.bytes()
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
            state.bytes += weight(block);
            state.ring.push_back(Arc::clone(block));
            touched.push(window);
        }
        state.tail = tail;
        while state.bytes > self.blocks_bytes && state.ring.len() > 1 {
            self.evict_oldest(&mut state);
        }
        touched
    }

    fn evict_oldest(&self, state: &mut HubState) {
        let Some(block) = state.ring.pop_front() else { return };
        state.bytes -= weight(&block);
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

    /// Lets go of a window that nobody uses.
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

fn weight(block: &Block) -> usize {
    block.payload.len() + BLOCK_OVERHEAD_BYTES
}

/// A reader's hold on a window; the window of a quiet task goes with its last reader.
#[derive(Debug)]
pub struct Subscription {
    hub: Hub,
    scope: Scope,
    window: Arc<LiveWindow>,
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
            // The hub's map must be the only other holder when it looks.
            self.window = Arc::clone(&self.hub.0.all);
            state.forget_if_unused(task);
        }
    }
}

#[cfg(test)]
mod tests;
