//! Which tasks a stream keeps active.

use crate::domain::TaskId;
use crate::tasks::{ActiveTaskGuard, Tasks};

/// Tasks that one stream keeps active at most; of more, the newest count.
const MAX_ACTIVE: usize = 64;

/// The tasks that one stream keeps active, the newest last.
#[derive(Debug, Default)]
pub(super) struct ActiveTasks {
    active: Vec<ActiveTask>,
    /// How many there were in all; one that comes again after [`MAX_ACTIVE`] others counts again.
    activated: usize,
}

#[derive(Debug)]
struct ActiveTask {
    task: TaskId,
    _guard: ActiveTaskGuard,
}

impl ActiveTasks {
    /// Keeps `task` active until [`ActiveTasks::release`].
    pub(super) fn activate(&mut self, tasks: &Tasks, task: &TaskId) {
        // The newest first: a stream that changes tasks stays with one for a while.
        if self.active.iter().rev().any(|active| active.task == *task) {
            return;
        }
        if self.active.len() == MAX_ACTIVE {
            self.active.remove(0);
        }
        self.activated += 1;
        self.active.push(ActiveTask { task: task.clone(), _guard: tasks.activate(task) });
    }

    /// Keeps none active any more.
    pub(super) fn release(&mut self) {
        self.active.clear();
    }

    /// How many tasks there were, about.
    pub(super) fn activated(&self) -> usize {
        self.activated
    }
}
