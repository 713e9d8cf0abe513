//! Sessions whose stream was cut, and whose producer may come back and send again.
//!
//! A producer that numbers its entries loses nothing by a cut stream when it opens another one. So
//! its log gets a gap only where it has not come back for as long as a task without workers waits
//! for another. Until then the task stays active.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::ingest::reader::Ids;

/// Sessions that are awaited at most; of more, the gap is noted at once.
const MAX_AWAITED: usize = 10_000;

pub(super) type Key = (Arc<Ids>, Arc<str>);

/// The sessions that are awaited.
#[derive(Debug, Default)]
pub(in crate::ingest) struct Resumptions {
    awaited: Mutex<HashMap<Key, CancellationToken>>,
    /// How many there are, so that most entries need no lock.
    count: AtomicUsize,
}

impl Resumptions {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, CancellationToken>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a stream carries a worker in `session`: if it was awaited, it came back.
    pub(in crate::ingest) fn note(&self, ids: &Arc<Ids>, session: Option<&Arc<str>>) {
        let Some(session) = session else { return };
        if self.count.load(Ordering::Relaxed) > 0 {
            let key = (Arc::clone(ids), Arc::clone(session));
            if let Some(came_back) = self.remove(&key) {
                came_back.cancel();
            }
        }
    }

    /// Cancelled once the session comes back; `None` where too many are awaited, or it is already.
    pub(super) fn wait_for(&self, key: &Key) -> Option<CancellationToken> {
        let mut awaited = self.lock();
        if awaited.len() >= MAX_AWAITED || awaited.contains_key(key) {
            return None;
        }
        let came_back = CancellationToken::new();
        awaited.insert(key.clone(), came_back.clone());
        self.count.store(awaited.len(), Ordering::Relaxed);
        Some(came_back)
    }

    pub(super) fn remove(&self, key: &Key) -> Option<CancellationToken> {
        let mut awaited = self.lock();
        let removed = awaited.remove(key);
        self.count.store(awaited.len(), Ordering::Relaxed);
        removed
    }
}
