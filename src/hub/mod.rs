//! The live path: the newest blocks of every task, kept once and shared by all who watch.
//!
//! # What it guarantees
//! - A [`Window`] holds every entry of its scope from its floor on. A reader at or past the
//!   floor reads here; one below it reads the log until it has caught up. Nobody is disconnected.
//! - Memory: the blocks of all windows together stay within one byte budget. The oldest block
//!   of the whole hub goes first.
//! - Readers at one cursor get one [`Stretch`], and what is derived from it is made once. The
//!   stretches read last are kept within a share of the budget; the oldest goes first.
//! - There is no queue per subscriber: a reader keeps a cursor and is woken by a `watch`.
//!   A task that nobody reads costs one push per block.
//!
//! # Locks
//! `Hub::state` before `Window::blocks` before `Stretches::recent`; never the other way round.
//! All are held for a few moves only, and the wake comes after they are released.

mod stretch;
mod window;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::{Block, IdMap, Offset, TaskId};
use crate::store::Scope;

pub use stretch::Stretch;
pub use window::{Read, STRETCH_BYTES, Window};

use stretch::Stretches;

/// What a block is reckoned to cost beside its payload: its own fields and its places in two windows.
const BLOCK_OVERHEAD_BYTES: usize = 256;

/// The part of the budget that stretches and what is derived from them may take.
const STRETCHES_SHARE: usize = 4;

/// All windows. Clones share them.
#[derive(Clone, Debug)]
pub struct Hub(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// What the windows' blocks may take.
    blocks_bytes: usize,
    all: Arc<Window>,
    stretches: Arc<Stretches>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Every block in the hub, oldest first: the order of eviction.
    ring: VecDeque<Arc<Block>>,
    bytes: usize,
    tail: Offset,
    windows: IdMap<TaskId, Arc<Window>>,
    stretches: Arc<Stretches>,
}

impl Hub {
    /// A hub that keeps up to `budget_bytes`, for a log that is still empty.
    pub fn new(budget_bytes: usize) -> Self {
        let tail = Offset::FIRST;
        let stretches_bytes = budget_bytes / STRETCHES_SHARE;
        let stretches = Arc::new(Stretches::new(stretches_bytes));
        let state = State {
            ring: VecDeque::new(),
            bytes: 0,
            tail,
            windows: IdMap::default(),
            stretches: Arc::clone(&stretches),
        };
        Self(Arc::new(Shared {
            blocks_bytes: budget_bytes - stretches_bytes,
            all: Arc::new(Window::new(tail, Arc::clone(&stretches))),
            stretches,
            state: Mutex::new(state),
        }))
    }

    /// Notes that the log begins with `tail` as its next offset; before the first publish.
    pub fn begin_at(&self, tail: Offset) {
        let mut state = self.0.lock();
        state.tail = tail;
        self.0.all.begin_at(tail);
    }

    /// Adds committed blocks and wakes their readers. Only the committer calls it, in order.
    pub fn publish(&self, blocks: &[Arc<Block>], tail: Offset) {
        let touched = self.0.insert(blocks, tail);
        touched.iter().for_each(|window| window.wake());
        self.0.all.wake();
    }

    /// The window of `scope`, made when there is none.
    pub fn watch(&self, scope: &Scope) -> Watch {
        let window = match scope {
            Scope::All => Arc::clone(&self.0.all),
            Scope::Task(task) => self.0.lock().window_from_tail(task),
        };
        Watch { hub: self.clone(), scope: scope.clone(), window }
    }

    /// Wakes the readers of `task` without a new entry, for something else that they wait for.
    pub fn wake(&self, task: &TaskId) {
        let window = self.0.lock().windows.get(task).cloned();
        if let Some(window) = window {
            window.wake();
        }
    }

    /// Bytes that windows and stretches hold now, as reckoned against the budget.
    pub fn bytes(&self) -> usize {
        self.0.lock().bytes + self.0.stretches.bytes()
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, blocks: &[Arc<Block>], tail: Offset) -> Vec<Arc<Window>> {
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

    fn evict_oldest(&self, state: &mut State) {
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

impl State {
    /// The task's window; a new one holds everything from `floor` on.
    fn window_from(&mut self, task: &TaskId, floor: Offset) -> Arc<Window> {
        if let Some(window) = self.windows.get(task) {
            return Arc::clone(window);
        }
        let window = Arc::new(Window::new(floor, Arc::clone(&self.stretches)));
        self.windows.insert(task.clone(), Arc::clone(&window));
        window
    }

    fn window_from_tail(&mut self, task: &TaskId) -> Arc<Window> {
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
fn is_unused(window: &Arc<Window>) -> bool {
    window.is_empty() && Arc::strong_count(window) == 1
}

fn weight(block: &Block) -> usize {
    block.payload.len() + BLOCK_OVERHEAD_BYTES
}

/// A reader's hold on a window; the window of a quiet task goes with its last reader.
#[derive(Debug)]
pub struct Watch {
    hub: Hub,
    scope: Scope,
    window: Arc<Window>,
}

impl std::ops::Deref for Watch {
    type Target = Window;
    fn deref(&self) -> &Window {
        &self.window
    }
}

impl Drop for Watch {
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
