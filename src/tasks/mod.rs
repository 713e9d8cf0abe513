//! When is a task complete? Joins what the log knows of a task with which streams activate it now.
//!
//! A task is **complete** when each of its workers has ended and no stream carries it, or when
//! no stream has activity it for the quiet period. A later line reopens it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::{IdMap, TaskId, TaskSummary, WorkerState, now_ms};
use crate::hub::Hub;
use crate::store::Log;

/// Tasks remembered with the time at which their last stream ended. A forgotten one's quiet
/// period counts from its last entry instead.
const MAX_REMEMBERED: usize = 16_384;

/// Whether a task goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// More may come. Without another sign it will be complete in `quiet_in`;
    /// `None` while a stream carries it.
    Running {
        /// How long the quiet period still lasts.
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
    /// Whether it goes on.
    pub state: TaskState,
}

impl Task {
    /// Whether a worker of it failed.
    pub fn has_failed(&self) -> bool {
        self.summary.workers.iter().any(|worker| worker.state == Some(WorkerState::Failed))
    }
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

/// Which streams activate a task, or until when one did.
#[derive(Debug, Clone, Copy)]
struct Activity {
    streams: usize,
    since: Instant,
}

impl Tasks {
    /// A view on the tasks of `log`, whose readers wait in `hub`.
    pub fn new(log: Arc<dyn Log>, hub: Hub, quiet_period: Duration) -> Self {
        Self(Arc::new(TasksShared { log, hub, quiet_period, activity: Mutex::default() }))
    }

    /// Notes that a stream carries `task`, until the guard is dropped.
    pub fn activate(&self, task: &TaskId) -> ActiveTaskGuard {
        let mut activity = self.0.lock();
        let since = Instant::now();
        let entry = activity.entry(task.clone()).or_insert(Activity { streams: 0, since });
        entry.streams += 1;
        ActiveTaskGuard { tasks: self.clone(), task: task.clone() }
    }

    /// One task.
    pub fn get(&self, task: &TaskId) -> Option<Task> {
        self.0.log.task(task).map(|summary| self.with_state(summary))
    }

    /// Every task, the one with the newest entry first.
    pub fn list(&self) -> Vec<Task> {
        self.0.log.tasks().into_iter().map(|summary| self.with_state(summary)).collect()
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
        if activity.is_some_and(|activity| activity.streams > 0) {
            return TaskState::Running { quiet_in: None };
        }
        let has_ended = |state: Option<WorkerState>| state.is_some_and(WorkerState::has_ended);
        let all_ended = summary.workers.iter().all(|worker| has_ended(worker.state));
        if all_ended && !summary.workers.is_empty() {
            return TaskState::Complete;
        }
        let since_entry = Duration::from_millis(now_ms().saturating_sub(summary.last_time_ms));
        let quiet_for =
            activity.map_or(since_entry, |activity| activity.since.elapsed().min(since_entry));
        match self.quiet_period.checked_sub(quiet_for) {
            Some(left) if !left.is_zero() => TaskState::Running { quiet_in: Some(left) },
            _ => TaskState::Complete,
        }
    }

    fn release(&self, task: &TaskId) {
        let mut activity = self.lock();
        if let Some(entry) = activity.get_mut(task) {
            entry.streams -= 1;
            entry.since = Instant::now();
        }
        if activity.len() > MAX_REMEMBERED {
            activity.retain(|_, entry| entry.streams > 0);
        }
    }
}

/// Held by a stream for each task that it carries.
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
