//! When is a task complete? Joins what the log knows of a task with which streams carry it now.
//!
//! A task is **complete** when each of its workers has ended and no stream carries it, or when
//! no stream has carried it for the quiet period. A later line reopens it.

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
pub enum State {
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
    pub state: State,
}

impl Task {
    /// Whether a worker of it failed.
    pub fn has_failed(&self) -> bool {
        self.summary.workers.iter().any(|worker| worker.state == Some(WorkerState::Failed))
    }
}

/// All tasks. Clones share the same view.
#[derive(Clone)]
pub struct Tasks(Arc<Shared>);

struct Shared {
    log: Arc<dyn Log>,
    hub: Hub,
    quiet_period: Duration,
    carried: Mutex<IdMap<TaskId, Carried>>,
}

/// Which streams carry a task, or until when one did.
#[derive(Debug, Clone, Copy)]
struct Carried {
    streams: usize,
    since: Instant,
}

impl Tasks {
    /// A view on the tasks of `log`, whose readers wait in `hub`.
    pub fn new(log: Arc<dyn Log>, hub: Hub, quiet_period: Duration) -> Self {
        Self(Arc::new(Shared { log, hub, quiet_period, carried: Mutex::default() }))
    }

    /// Notes that a stream carries `task`, until the guard is dropped.
    pub fn carry(&self, task: &TaskId) -> Carrying {
        let mut carried = self.0.lock();
        let since = Instant::now();
        let entry = carried.entry(task.clone()).or_insert(Carried { streams: 0, since });
        entry.streams += 1;
        Carrying { tasks: self.clone(), task: task.clone() }
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
        let carried = self.0.lock().get(&summary.task).copied();
        let state = self.0.state(&summary, carried);
        Task { summary, state }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, IdMap<TaskId, Carried>> {
        self.carried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self, summary: &TaskSummary, carried: Option<Carried>) -> State {
        if carried.is_some_and(|carried| carried.streams > 0) {
            return State::Running { quiet_in: None };
        }
        let has_ended = |state: Option<WorkerState>| state.is_some_and(WorkerState::has_ended);
        let all_ended = summary.workers.iter().all(|worker| has_ended(worker.state));
        if all_ended && !summary.workers.is_empty() {
            return State::Complete;
        }
        let since_entry = Duration::from_millis(now_ms().saturating_sub(summary.last_time_ms));
        let quiet_for =
            carried.map_or(since_entry, |carried| carried.since.elapsed().min(since_entry));
        match self.quiet_period.checked_sub(quiet_for) {
            Some(left) if !left.is_zero() => State::Running { quiet_in: Some(left) },
            _ => State::Complete,
        }
    }

    fn put_down(&self, task: &TaskId) {
        let mut carried = self.lock();
        if let Some(entry) = carried.get_mut(task) {
            entry.streams -= 1;
            entry.since = Instant::now();
        }
        if carried.len() > MAX_REMEMBERED {
            carried.retain(|_, entry| entry.streams > 0);
        }
    }
}

/// Held by a stream for each task that it carries.
pub struct Carrying {
    tasks: Tasks,
    task: TaskId,
}

impl Drop for Carrying {
    fn drop(&mut self) {
        self.tasks.0.put_down(&self.task);
        self.tasks.0.hub.wake(&self.task);
    }
}

impl std::fmt::Debug for Carrying {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Carrying").field(&self.task).finish()
    }
}
