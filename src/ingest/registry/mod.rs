//! Registered workers: those that push their own logs register first.
//!
//! A registration is held while a stream of its worker is open, and freed when the worker has
//! ended and its streams too. One task may have half of them. When all are in use, those are
//! forgotten that were never used, and those that were not used for long.

mod entries;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::reader::Ids;
use crate::counter::Counter;
use crate::domain::TaskId;
pub use entries::{Admitted, RegisteredEntries};

/// A registration that was not used for this long may be forgotten. A stream's deadline is
/// 30 minutes, so a worker that is between two streams keeps its registration.
const FORGET_AFTER: Duration = Duration::from_secs(60 * 60);

/// One that was never used may be forgotten after this long.
const FORGET_UNUSED_AFTER: Duration = Duration::from_secs(60);

/// While all registrations are in use, it is looked this often at what may be forgotten.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// What became of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registered {
    /// New; the session's id.
    New(String),
    /// The worker is registered already; the same session's id.
    Already(String),
    /// Refused; says which limit is reached.
    Full(String),
}

/// The registered workers. Clones share them.
#[derive(Debug, Clone)]
pub struct Registry(Arc<RegistryShared>);

#[derive(Debug)]
struct RegistryShared {
    limit: usize,
    registrations: Mutex<Registrations>,
    refused: Counter,
}

#[derive(Debug, Default)]
struct Registrations {
    sessions: HashMap<Ids, Registration>,
    /// How many each task has.
    tasks: HashMap<TaskId, usize>,
    next_sweep: Option<Instant>,
}

#[derive(Debug)]
struct Registration {
    session: Arc<WorkerSession>,
    /// Open streams that sent entries of the worker.
    streams: usize,
    has_ended: bool,
    last_used: Instant,
}

/// What a worker's streams have in common.
#[derive(Debug)]
struct WorkerSession {
    id: String,
    /// Entries that were received in it.
    entries: AtomicU64,
}

/// A worker's registration, which stays while this is held.
#[derive(Debug)]
struct HeldRegistration {
    registry: Registry,
    ids: Arc<Ids>,
    session: Arc<WorkerSession>,
}

impl Registry {
    /// A registry of at most `limit` workers.
    pub fn new(limit: usize) -> Self {
        let (registrations, refused) = Default::default();
        Self(Arc::new(RegistryShared { limit, registrations, refused }))
    }

    /// Registers a worker.
    pub fn register(&self, ids: &Ids) -> Registered {
        let mut registrations = self.lock();
        let now = Instant::now();
        if let Some(known) = registrations.sessions.get_mut(ids) {
            known.last_used = now;
            known.has_ended = false;
            return Registered::Already(known.session.id.clone());
        }
        if registrations.sessions.len() >= self.0.limit {
            registrations.sweep(now);
        }
        if let Some(reason) = self.refusal(&registrations, &ids.task) {
            self.0.refused.add(1);
            return Registered::Full(reason);
        }
        Registered::New(registrations.add(ids.clone(), now))
    }

    /// Notes whether a worker has ended. Once it has, and its streams too, its registration is free.
    pub fn note_end(&self, ids: &Ids, has_ended: bool) {
        let mut registrations = self.lock();
        if let Some(registration) = registrations.sessions.get_mut(ids) {
            registration.has_ended = has_ended;
            registrations.free_if_over(ids);
        }
    }

    /// How many workers may be registered.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// How many workers are registered.
    pub fn in_use(&self) -> usize {
        self.lock().sessions.len()
    }

    /// How many registrations were refused.
    pub fn refused(&self) -> u64 {
        self.0.refused.get()
    }

    /// Why one more worker of `task` may not register.
    fn refusal(&self, registrations: &Registrations, task: &TaskId) -> Option<String> {
        let limit = self.0.limit;
        let (of_task, task_limit) = (registrations.tasks.get(task).copied(), limit.div_ceil(2));
        if registrations.sessions.len() >= limit {
            return Some(format!("{limit} workers are registered, which is the limit"));
        }
        (of_task.unwrap_or(0) >= task_limit).then(|| {
            format!("{task_limit} workers of the task are registered, the limit for one task")
        })
    }

    /// Holds the registration of `ids`; `None` when there is none.
    fn hold(&self, ids: &Arc<Ids>) -> Option<HeldRegistration> {
        let mut registrations = self.lock();
        let registration = registrations.sessions.get_mut(&**ids)?;
        registration.streams += 1;
        registration.last_used = Instant::now();
        let session = Arc::clone(&registration.session);
        Some(HeldRegistration { registry: self.clone(), ids: Arc::clone(ids), session })
    }

    fn lock(&self) -> MutexGuard<'_, Registrations> {
        self.0.registrations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for HeldRegistration {
    fn drop(&mut self) {
        let mut registrations = self.registry.lock();
        if let Some(registration) = registrations.sessions.get_mut(&*self.ids) {
            registration.streams -= 1;
            registration.last_used = Instant::now();
            registrations.free_if_over(&self.ids);
        }
    }
}

impl Registrations {
    /// Returns the new session's id.
    fn add(&mut self, ids: Ids, now: Instant) -> String {
        let id = format!("{:016x}", fastrand::u64(..));
        let session = Arc::new(WorkerSession { id: id.clone(), entries: AtomicU64::new(0) });
        *self.tasks.entry(ids.task.clone()).or_default() += 1;
        let registration = Registration { session, streams: 0, has_ended: false, last_used: now };
        self.sessions.insert(ids, registration);
        id
    }

    fn free_if_over(&mut self, ids: &Ids) {
        let is_over =
            |registration: &Registration| registration.has_ended && registration.streams == 0;
        if self.sessions.get(ids).is_some_and(is_over) {
            self.sessions.remove(ids);
            forget_one(&mut self.tasks, &ids.task);
        }
    }

    /// Forgets what may be forgotten.
    fn sweep(&mut self, now: Instant) {
        if self.next_sweep.is_some_and(|next| now < next) {
            return;
        }
        self.next_sweep = Some(now + SWEEP_INTERVAL);
        let Self { sessions, tasks, .. } = self;
        sessions.retain(|ids, registration| {
            let is_unused = registration.session.entries.load(Relaxed) == 0;
            let forget_after = if is_unused { FORGET_UNUSED_AFTER } else { FORGET_AFTER };
            let stays = registration.streams > 0
                || now.duration_since(registration.last_used) < forget_after;
            if !stays {
                forget_one(tasks, &ids.task);
            }
            stays
        });
    }
}

fn forget_one(tasks: &mut HashMap<TaskId, usize>, task: &TaskId) {
    if let Some(count) = tasks.get_mut(task) {
        *count -= 1;
        if *count == 0 {
            tasks.remove(task);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(task: &str, worker: &str) -> Ids {
        Ids::new(task, worker).unwrap()
    }

    fn is_new(registry: &Registry, ids: &Ids) -> bool {
        matches!(registry.register(ids), Registered::New(_))
    }

    #[tokio::test]
    async fn a_second_registration_gets_the_same_session_and_a_full_registry_says_so() {
        let registry = Registry::new(1);
        let Registered::New(id) = registry.register(&ids("t", "a")) else { panic!("not new") };
        assert_eq!(registry.register(&ids("t", "a")), Registered::Already(id));
        let full = Registered::Full("1 workers are registered, which is the limit".into());
        assert_eq!(registry.register(&ids("t", "b")), full);
        assert_eq!(registry.refused(), 1);
    }

    #[tokio::test]
    async fn one_task_may_have_half_of_the_registrations() {
        let registry = Registry::new(4);
        assert!(is_new(&registry, &ids("t", "a")) && is_new(&registry, &ids("t", "b")));
        let reason = "2 workers of the task are registered, the limit for one task";
        assert_eq!(registry.register(&ids("t", "c")), Registered::Full(reason.into()));
        assert!(is_new(&registry, &ids("other", "a")));
        registry.note_end(&ids("t", "a"), true);
        assert!(is_new(&registry, &ids("t", "c")));
    }

    #[tokio::test]
    async fn the_registration_of_a_worker_that_has_ended_is_free_once_its_streams_are_closed() {
        let registry = Registry::new(2);
        let worker = Arc::new(ids("t", "a"));
        assert!(is_new(&registry, &worker));
        let (one, other) = (registry.hold(&worker), registry.hold(&worker));
        registry.note_end(&worker, true);
        drop(one);
        assert_eq!(registry.in_use(), 1);
        drop(other);
        assert_eq!(registry.in_use(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_not_held_and_not_used_is_forgotten_when_all_registrations_are_taken() {
        let registry = Registry::new(3);
        let [held, used, unused] = ["held", "used", "unused"].map(|task| Arc::new(ids(task, "w")));
        for worker in [&held, &used, &unused] {
            assert!(is_new(&registry, worker));
        }
        let _held = registry.hold(&held).unwrap();
        registry.hold(&used).unwrap().session.entries.fetch_add(1, Relaxed);
        assert!(!is_new(&registry, &ids("new", "w")));
        tokio::time::advance(FORGET_UNUSED_AFTER).await;
        assert!(is_new(&registry, &ids("new", "w")));
        assert!(registry.hold(&unused).is_none() && registry.hold(&used).is_some());
        tokio::time::advance(FORGET_AFTER).await;
        assert!(is_new(&registry, &ids("newer", "w")));
        assert!(registry.hold(&held).is_some() && registry.hold(&used).is_none());
    }
}
