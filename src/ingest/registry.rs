//! Registered workers: those that push their own logs register first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::reader::{Ids, IncomingEntry, Refusal};

/// A registration that was not used for this long may be forgotten. A stream's deadline is
/// 30 minutes, so a worker that is between two streams keeps its registration.
const FORGET_AFTER: Duration = Duration::from_secs(60 * 60);

/// What became of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registered {
    /// New; the session's id.
    New(String),
    /// The worker is registered already; the same session's id.
    Already(String),
    /// As many workers are registered as may be.
    Full,
}

/// An entry that [`Registry::admit`] has looked at.
#[derive(Debug)]
pub struct Admitted {
    /// The entry, or why it is refused.
    pub incoming: IncomingEntry,
    /// Its ordinal in its worker's session, from 1; `None` when it is refused.
    pub count: Option<u64>,
}

/// The registered workers. Clones share them.
#[derive(Debug, Clone)]
pub struct Registry(Arc<RegistryShared>);

#[derive(Debug)]
struct RegistryShared {
    limit: usize,
    sessions: Mutex<HashMap<Ids, RegisteredSession>>,
}

#[derive(Debug)]
struct RegisteredSession {
    id: String,
    /// Entries that were received in it.
    entries: u64,
    last_used: Instant,
}

impl Registry {
    /// A registry of at most `limit` workers.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(RegistryShared { limit, sessions: Mutex::default() }))
    }

    /// Registers a worker.
    pub fn register(&self, ids: Ids) -> Registered {
        let mut sessions = self.lock();
        let last_used = Instant::now();
        if let Some(known) = sessions.get_mut(&ids) {
            known.last_used = last_used;
            return Registered::Already(known.id.clone());
        }
        if sessions.len() >= self.0.limit {
            sessions.retain(|_, session| session.last_used.elapsed() < FORGET_AFTER);
        }
        if sessions.len() >= self.0.limit {
            return Registered::Full;
        }
        let id = format!("{:016x}", fastrand::u64(..));
        sessions.insert(ids, RegisteredSession { id: id.clone(), entries: 0, last_used });
        Registered::New(id)
    }

    /// How many workers may be registered.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// Counts an entry in its worker's session. An unregistered worker's entry becomes a refusal,
    /// and has no count.
    pub fn admit(&self, mut incoming: IncomingEntry) -> Admitted {
        let Ok(accepted) = &incoming.entry else { return Admitted { incoming, count: None } };
        let mut sessions = self.lock();
        if let Some(session) = sessions.get_mut(&accepted.ids) {
            session.entries += 1;
            session.last_used = Instant::now();
            return Admitted { incoming, count: Some(session.entries) };
        }
        let Ids { task, worker } = &*accepted.ids;
        let reason = format!(
            "worker_id {worker:?} of task_id {task:?} is not registered, call RegisterWorker first"
        );
        // Without ids, so that strangers cannot write gaps into a task's log.
        incoming.entry = Err(Refusal { ids: None, reason });
        Admitted { incoming, count: None }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Ids, RegisteredSession>> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{TaskId, WorkerId};

    fn ids(worker: &str) -> Ids {
        Ids { task: TaskId::new("t").unwrap(), worker: WorkerId::new(worker).unwrap() }
    }

    #[test]
    fn a_second_registration_gets_the_same_session_and_a_full_registry_says_so() {
        let registry = Registry::new(1);
        let Registered::New(id) = registry.register(ids("a")) else { panic!("not new") };
        assert_eq!(registry.register(ids("a")), Registered::Already(id));
        assert_eq!(registry.register(ids("b")), Registered::Full);
    }
}
