//! Which tasks a stream keeps active.

use crate::domain::TaskId;
use crate::tasks::{ActiveTaskGuard, Tasks};

/// Tasks that one stream keeps active at most; of more, the newest count.
const MAX_ACTIVE: usize = 64;

/// The tasks that one stream keeps active, the newest last.
#[derive(Debug, Default)]
pub(super) struct ActiveTasks(Vec<ActiveTask>);

#[derive(Debug)]
struct ActiveTask {
    task: TaskId,
    _guard: ActiveTaskGuard,
}

impl ActiveTasks {
    /// Keeps `task` active until [`ActiveTasks::release`].
    pub(super) fn activate(&mut self, tasks: &Tasks, task: &TaskId) {
        // The newest first: a stream that changes tasks stays with one for a while.
        if self.0.iter().rev().any(|active| active.task == *task) {
            return;
        }
        if self.0.len() == MAX_ACTIVE {
            self.0.remove(0);
        }
        self.0.push(ActiveTask { task: task.clone(), _guard: tasks.activate(task) });
    }

    /// Keeps none active any more.
    pub(super) fn release(&mut self) {
        self.0.clear();
    }
}
