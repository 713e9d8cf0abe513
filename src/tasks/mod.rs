//! Whether a task is running or complete. Joins what the log knows with which streams push it now.
//!
//! A task is **active** while a stream that pushed entries of it is open. It is **complete** when it
//! is not active and each of its workers has ended, or when it was not active and got no entry for
//! the quiet period. A later entry makes it running again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::{IdMap, Offset, TaskId, TaskSummary, now_ms};
use crate::hub::Hub;
use crate::store::{Log, ReadError, TaskPage, TaskQuery};

/// How many tasks are remembered with the time at which their last stream ended. The quiet period
/// of a forgotten one counts from its last entry instead.
const MAX_REMEMBERED: usize = 16_384;

/// Whether more entries of a task are expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// More may come.
    Running {
        /// In what time the task is complete if nothing more comes; `None` while it is active.
        quiet_in: Option<Duration>,
    },
    /// Nothing more is expected.
    Complete,
}

/// A task as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// What the log knows.
    pub summary: TaskSummary,
    /// Whether more is expected.
    pub state: TaskState,
}

impl Task {
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

/// All tasks. Clones share the same view.
#[derive(Clone)]
pub struct Tasks(Arc<TasksShared>);

struct TasksShared {
    log: Arc<dyn Log>,
    hub: Hub,
    quiet_period: Duration,
    activity: Mutex<IdMap<TaskId, Activity>>,
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
    pub fn new(log: Arc<dyn Log>, hub: Hub, quiet_period: Duration) -> Self {
        Self(Arc::new(TasksShared { log, hub, quiet_period, activity: Mutex::default() }))
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
        if activity.is_some_and(|activity| activity.open_streams > 0) {
            return TaskState::Running { quiet_in: None };
        }
        let workers = &summary.worker_counts;
        if workers.total > 0 && workers.ended() == workers.total {
            return TaskState::Complete;
        }
        let since_entry = Duration::from_millis(now_ms().saturating_sub(summary.last_time_ms));
        let quiet_for = activity
            .map_or(since_entry, |activity| activity.last_change.elapsed().min(since_entry));
        match self.quiet_period.checked_sub(quiet_for) {
            Some(left) if !left.is_zero() => TaskState::Running { quiet_in: Some(left) },
            _ => TaskState::Complete,
        }
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
