//! Whether a task is running or complete. Joins what the log knows with which streams push it now.
//!
//! A task is **active** while a stream that pushed entries of it is open. It is **complete** when its
//! end was told, or when it was not active and got no entry for as long as its [`LifeCycle`] says. A
//! later line makes it running again.

mod life_cycle;
mod retention;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::{IdMap, Offset, Outcome, TaskId, TaskSummary, now_ms};
use crate::hub::Hub;
use crate::store::{DeleteError, Log, ReadError, TaskEnd, TaskPage, TaskQuery};

pub use life_cycle::{LifeCycle, TaskState};
pub use retention::{RetentionService, TaskRetention};

/// How many tasks are remembered with the time at which their last stream ended. A forgotten one
/// waits from its last entry on instead.
const MAX_REMEMBERED: usize = 16_384;

/// A task as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// What the log knows.
    pub summary: TaskSummary,
    /// Whether more is expected.
    pub state: TaskState,
}

impl Task {
    /// Whether nothing more of it is expected.
    pub fn is_complete(&self) -> bool {
        self.outcome().is_some()
    }

    /// How it ended; `None` while it runs.
    pub fn outcome(&self) -> Option<Outcome> {
        match self.state {
            TaskState::Complete { outcome } => Some(outcome),
            TaskState::Running { .. } => None,
        }
    }

    /// Whether one of its workers failed.
    pub fn has_failed(&self) -> bool {
        self.summary.worker_counts.failed > 0
    }
}

/// A page of tasks.
#[derive(Debug, Clone)]
pub struct Page {
    /// The one with the newest entry first.
    pub tasks: Vec<Task>,
    /// Where to go on, as [`TaskQuery::before`]; `None` at the end.
    pub next: Option<Offset>,
}

/// Why a task is not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteTaskError {
    /// There is none.
    #[error("there is no such task")]
    Unknown,
    /// More of it may come, or just came.
    #[error("the task is running")]
    Running,
    /// The log cannot tell, or does not do it.
    #[error(transparent)]
    Log(#[from] DeleteError),
}

impl From<ReadError> for DeleteTaskError {
    fn from(error: ReadError) -> Self {
        Self::Log(error.into())
    }
}

/// All tasks. Clones share the same view.
#[derive(Clone)]
pub struct Tasks(Arc<TasksShared>);

struct TasksShared {
    log: Arc<dyn Log>,
    hub: Hub,
    life_cycle: LifeCycle,
    started: Started,
    activity: Mutex<IdMap<TaskId, Activity>>,
}

/// When this process began to look, on both clocks.
#[derive(Debug, Clone, Copy)]
struct Started {
    at: Instant,
    time_ms: u64,
}

/// Whether a task is active, or when it last was.
#[derive(Debug, Clone, Copy)]
struct Activity {
    open_streams: usize,
    /// When the last stream ended; while none has, when the first began.
    last_change: Instant,
}

impl Tasks {
    /// The tasks of `log`; readers of `hub` are woken when one may have become complete.
    pub fn new(log: Arc<dyn Log>, hub: Hub, life_cycle: LifeCycle) -> Self {
        let started = Started { at: Instant::now(), time_ms: now_ms() };
        let activity = Mutex::default();
        Self(Arc::new(TasksShared { log, hub, life_cycle, started, activity }))
    }

    /// When a task is complete.
    pub fn life_cycle(&self) -> LifeCycle {
        self.0.life_cycle
    }

    /// The hub whose readers are woken.
    pub fn hub(&self) -> &Hub {
        &self.0.hub
    }

    /// Keeps `task` active until the guard is dropped.
    pub fn activate(&self, task: &TaskId) -> ActiveTaskGuard {
        let mut activity = self.0.lock();
        let last_change = Instant::now();
        let new = Activity { open_streams: 0, last_change };
        activity.entry(task.clone()).or_insert(new).open_streams += 1;
        ActiveTaskGuard { tasks: self.clone(), task: task.clone() }
    }

    /// One task.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn get(&self, task: &TaskId) -> Result<Option<Task>, ReadError> {
        let summary = self.0.log.task(task).await?;
        Ok(summary.map(|summary| self.with_state(summary)))
    }

    /// Deletes a task that is complete: nothing of it can be read from then on, also after a
    /// restart. An entry that comes while it is deleted keeps it.
    ///
    /// # Errors
    /// When there is no such task, it is running, or the log does not delete it.
    pub async fn delete(&self, task: &TaskId) -> Result<(), DeleteTaskError> {
        let found = self.get(task).await?.ok_or(DeleteTaskError::Unknown)?;
        if !found.is_complete() {
            return Err(DeleteTaskError::Running);
        }
        let end = TaskEnd { task: task.clone(), last: found.summary.last_offset };
        match self.0.log.delete(vec![end]).await? {
            0 => Err(DeleteTaskError::Running),
            _ => Ok(()),
        }
    }

    /// A page of tasks, the one with the newest entry first.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn page(&self, query: TaskQuery) -> Result<Page, ReadError> {
        let TaskPage { tasks, next } = self.0.log.tasks(query).await?;
        let tasks = tasks.into_iter().map(|summary| self.with_state(summary)).collect();
        Ok(Page { tasks, next })
    }

    fn with_state(&self, summary: TaskSummary) -> Task {
        let activity = self.0.lock().get(&summary.task).copied();
        let state = self.0.state(&summary, activity);
        Task { summary, state }
    }
}

impl TasksShared {
    fn lock(&self) -> MutexGuard<'_, IdMap<TaskId, Activity>> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self, summary: &TaskSummary, activity: Option<Activity>) -> TaskState {
        let since_entry = self.started.since_entry(summary, Instant::now(), now_ms());
        let idle = match activity {
            Some(activity) if activity.open_streams > 0 => None,
            Some(activity) => Some(activity.last_change.elapsed().min(since_entry)),
            None => Some(since_entry),
        };
        self.life_cycle.state(summary, idle)
    }

    /// Notes that a stream of `task` has ended.
    fn release(&self, task: &TaskId) {
        let mut activity = self.lock();
        if let Some(entry) = activity.get_mut(task) {
            entry.open_streams -= 1;
            entry.last_change = Instant::now();
        }
        if activity.len() > MAX_REMEMBERED {
            activity.retain(|_, entry| entry.open_streams > 0);
        }
    }
}

impl Started {
    /// How long ago the task's last entry came, whatever became of the clock on the wall since.
    fn since_entry(self, summary: &TaskSummary, now: Instant, now_ms: u64) -> Duration {
        if let Some(at) = summary.last_commit {
            return now.saturating_duration_since(at);
        }
        let since = Duration::from_millis(now_ms.saturating_sub(summary.last_time_ms));
        let is_from_before = summary.last_time_ms < self.time_ms;
        let is_from_the_future = summary.last_time_ms > now_ms;
        if is_from_before || is_from_the_future {
            since.max(now.saturating_duration_since(self.at))
        } else {
            since
        }
    }
}

/// Held by a stream for each task that it pushes.
pub struct ActiveTaskGuard {
    tasks: Tasks,
    task: TaskId,
}

impl Drop for ActiveTaskGuard {
    fn drop(&mut self) {
        self.tasks.0.release(&self.task);
        self.tasks.0.hub.wake(&self.task);
    }
}

impl std::fmt::Debug for ActiveTaskGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ActiveTaskGuard").field(&self.task).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::WorkerCounts;

    const HOUR: Duration = Duration::from_secs(3600);
    const HOUR_MS: u64 = 3_600_000;
    const START_MS: u64 = 1_700_000_000_000;

    pub(super) fn summary(last_time_ms: u64, last_commit: Option<Instant>) -> TaskSummary {
        TaskSummary {
            task: TaskId::new("t").unwrap(),
            first_offset: Offset(1),
            last_offset: Offset(1),
            first_line: 1,
            last_line: 1,
            bytes: 1,
            lost_lines: 0,
            trimmed_lines: 0,
            first_time_ms: last_time_ms,
            last_time_ms,
            last_commit,
            told_end: None,
            worker_counts: WorkerCounts::default(),
            workers: Vec::new(),
        }
    }

    #[test]
    fn a_clock_that_is_set_does_not_change_how_long_a_task_has_been_quiet() {
        let at = Instant::now();
        let started = Started { at, time_ms: START_MS };
        let now = at + HOUR;
        let minute = HOUR / 60;
        let came = summary(START_MS + HOUR_MS, Some(now - minute));
        for wall in [0, START_MS, START_MS + HOUR_MS, START_MS + 100_000 * HOUR_MS] {
            assert_eq!(started.since_entry(&came, now, wall), minute, "the clock shows {wall}");
        }
    }

    #[test]
    fn an_entry_from_the_future_counts_as_old_as_this_process() {
        let at = Instant::now();
        let started = Started { at, time_ms: START_MS };
        let future = summary(START_MS + 9 * HOUR_MS, None);
        assert_eq!(started.since_entry(&future, at, START_MS), Duration::ZERO);
        assert_eq!(started.since_entry(&future, at + HOUR, START_MS + HOUR_MS), HOUR);
        let before = summary(START_MS - HOUR_MS, None);
        assert_eq!(started.since_entry(&before, at, START_MS), HOUR);
        let set_back = START_MS - 2 * HOUR_MS;
        assert_eq!(started.since_entry(&before, at + HOUR, set_back), HOUR);
    }
}
