//! Which tasks a stream carries.

use crate::domain::TaskId;
use crate::tasks::{ActiveTaskGuard, Tasks};

/// Tasks that one stream is noted to activate; of more, the newest count.
const MAX_ACTIVE: usize = 64;

/// The tasks that one stream carries, the newest last.
#[derive(Debug, Default)]
pub(super) struct ActiveTasks(Vec<(TaskId, ActiveTaskGuard)>);

impl ActiveTasks {
    /// Notes that the stream carries `task`.
    pub(super) fn activate(&mut self, tasks: &Tasks, task: &TaskId) {
        // The newest first: a stream that changes tasks stays with one for a while.
        if self.0.iter().rev().any(|(carried, _)| carried == task) {
            return;
        }
        if self.0.len() == MAX_ACTIVE {
            self.0.remove(0);
        }
        self.0.push((task.clone(), tasks.activate(task)));
    }

    /// Carries none any more.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
