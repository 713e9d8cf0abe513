//! Which tasks a stream carries.

use crate::domain::TaskId;
use crate::tasks::{Carrying, Tasks};

/// Tasks that one stream is noted to carry; of more, the newest count.
const MAX_CARRIED: usize = 64;

/// The tasks that one stream carries, the newest last.
#[derive(Debug, Default)]
pub(super) struct Carriers(Vec<(TaskId, Carrying)>);

impl Carriers {
    /// Notes that the stream carries `task`.
    pub(super) fn carry(&mut self, tasks: &Tasks, task: &TaskId) {
        // The newest first: a stream that changes tasks stays with one for a while.
        if self.0.iter().rev().any(|(carried, _)| carried == task) {
            return;
        }
        if self.0.len() == MAX_CARRIED {
            self.0.remove(0);
        }
        self.0.push((task.clone(), tasks.carry(task)));
    }

    /// Carries none any more.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
