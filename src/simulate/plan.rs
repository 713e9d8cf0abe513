//! Which builds are simulated, and what each of their workers prints.

use super::build::{self, Lines};
use crate::domain::{IdError, TaskId, WorkerId};

/// Builds to simulate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Equal plans give equal builds, line by line.
    pub seed: u64,
    /// The tasks, each built by workers of its own.
    pub tasks: Vec<TaskId>,
    /// How many workers each task has.
    pub workers: u32,
    /// Which workers of each task fail, by number from 1.
    pub failing: Vec<u32>,
}

/// One worker of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// The task it works on.
    pub task: TaskId,
    /// Its id, `otto-agent-<task>-<number>`.
    pub id: WorkerId,
    /// Its number within the task, from 1.
    pub number: u32,
    /// Whether its build fails.
    pub fails: bool,
    seed: u64,
}

impl Plan {
    /// The workers of every task.
    ///
    /// # Errors
    /// When a task's id is so long that its workers' ids are above the limit.
    pub fn workers(&self) -> Result<Vec<Worker>, IdError> {
        let numbered = |task| (1..=self.workers).map(move |number| (task, number));
        let all = self.tasks.iter().enumerate().flat_map(numbered);
        all.map(|((task_index, task), number)| self.worker(task_index, task, number)).collect()
    }

    fn worker(&self, task_index: usize, task: &TaskId, number: u32) -> Result<Worker, IdError> {
        let id = WorkerId::new(&format!("otto-agent-{task}-{number}"))?;
        let number_in_plan = (task_index as u64) << 32 | u64::from(number);
        let seed = self.seed.rotate_left(17) ^ number_in_plan.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let fails = self.failing.contains(&number);
        Ok(Worker { task: task.clone(), id, number, fails, seed })
    }
}

impl Worker {
    /// Everything that its build prints, in order.
    pub fn lines(&self) -> Lines {
        build::lines(self.seed, &self.task, self.number, self.fails)
    }
}
