//! Deletes finished tasks for their age, or because there are too many.
//!
//! A pass looks at the tasks whose last entry is oldest, and deletes those that are complete as
//! [`Tasks::delete`] does, all in one commit. It deletes a bounded number, and for their age no more
//! than a wrong clock may cost: see `docs/adr/0015-clock-steps.md`.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Tasks;
use crate::domain::{Offset, TaskSummary};
use crate::store::{DeleteError, ReadError, TaskAgeLimit, TaskEnd, TaskQuery, WallClock};

/// How far apart passes are; shorter where only a short age is kept.
const LONGEST_PERIOD: Duration = Duration::from_secs(10);
const SHORTEST_PERIOD: Duration = Duration::from_secs(1);

/// What a pass deletes and looks at, at most.
const MAX_DELETED: usize = 1000;
const MAX_SCANNED: usize = 10_000;

/// How many tasks are read at once.
const PAGE_TASKS: usize = 100;

/// Which finished tasks are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TaskRetention {
    /// Those whose last entry is not older than this.
    pub age: Option<Duration>,
    /// Not those that are oldest while there are more tasks than this.
    pub count: Option<usize>,
}

impl TaskRetention {
    /// Whether it keeps everything.
    pub fn is_off(&self) -> bool {
        self.age.is_none() && self.count.is_none()
    }
}

/// Deletes what [`TaskRetention`] does not keep.
pub struct RetentionService {
    tasks: Tasks,
    kept: TaskRetention,
    age: Option<TaskAgeLimit>,
}

impl RetentionService {
    /// A service that tells ages by `clock`.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn new(
        tasks: Tasks,
        kept: TaskRetention,
        clock: WallClock,
    ) -> Result<Self, ReadError> {
        let query = TaskQuery { before: None, limit: 1, max_scanned: 1, filter: None };
        let newest = tasks.0.log.tasks(query).await?.tasks.pop().map(|newest| newest.last_time_ms);
        let age = kept.age.map(|age| TaskAgeLimit::new(age, clock, newest));
        Ok(Self { tasks, kept, age })
    }

    /// Makes passes until `drain` is cancelled.
    pub async fn run(mut self, drain: CancellationToken) {
        let period = self.kept.age.unwrap_or(LONGEST_PERIOD).clamp(SHORTEST_PERIOD, LONGEST_PERIOD);
        let mut passes = tokio::time::interval(period);
        let made = async {
            loop {
                passes.tick().await;
                if let Err(error) = self.pass().await {
                    tracing::warn!(%error, "finished tasks are not deleted now");
                }
            }
        };
        drain.run_until_cancelled(made).await;
    }

    /// Deletes what is not kept, up to a bound; returns how many tasks.
    async fn pass(&mut self) -> Result<usize, DeleteError> {
        let tasks = self.tasks.0.log.task_count().await?;
        if let Some(age) = &mut self.age {
            age.look(tasks);
        }
        let ends = self.candidates(tasks).await?;
        if ends.is_empty() {
            return Ok(0);
        }
        let deleted = self.tasks.0.log.delete(ends).await?;
        tracing::info!(deleted, tasks, "finished tasks were deleted by retention");
        Ok(deleted)
    }

    /// The finished tasks that go, of so many.
    async fn candidates(&mut self, tasks: usize) -> Result<Vec<TaskEnd>, ReadError> {
        let mut excess = self.kept.count.map_or(0, |kept| tasks.saturating_sub(kept));
        let (mut ends, mut scanned, mut after) = (Vec::new(), 0, Offset(0));
        while scanned < MAX_SCANNED {
            let page = self.tasks.0.log.oldest_tasks(after, PAGE_TASKS).await?;
            scanned += PAGE_TASKS;
            for summary in page.tasks {
                let is_old = self.may_go_for_age(&summary);
                if ends.len() == MAX_DELETED || !(is_old || excess > 0) {
                    return Ok(ends);
                }
                let task = self.tasks.with_state(summary);
                if !task.is_complete() {
                    continue;
                }
                excess = excess.saturating_sub(1);
                if let Some(age) = self.age.as_mut().filter(|_| is_old) {
                    age.note();
                }
                ends.push(TaskEnd { task: task.summary.task, last: task.summary.last_offset });
            }
            match page.next {
                Some(next) => after = next,
                None => break,
            }
        }
        Ok(ends)
    }

    fn may_go_for_age(&self, summary: &TaskSummary) -> bool {
        let age = self.age.as_ref().filter(|age| age.allows());
        age.is_some_and(|age| age.is_too_old(summary.last_time_ms))
    }
}

#[cfg(test)]
mod tests;
