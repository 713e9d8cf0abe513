//! The entries of a stream whose workers must be registered.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream, StreamExt};

use super::{HeldRegistration, Registered, Registry};
use crate::domain::{WorkerState, WorkerSummary};
use crate::ingest::reader::{Ids, IncomingEntry, Refusal};
use crate::store::Log;

/// Registrations that one stream holds at most; of more, the newest.
const MAX_HELD: usize = 16;

/// An entry that was looked at.
#[derive(Debug)]
pub struct Admitted {
    /// The entry, or why it is refused.
    pub incoming: IncomingEntry,
    /// Its ordinal in its worker's session, from 1; `None` when it is refused.
    pub count: Option<u64>,
}

/// The entries of one stream. Those of workers that are not registered become refusals, except
/// where the log knows the worker: it registered before the server was started.
pub struct RegisteredEntries<S> {
    inbound: S,
    registry: Registry,
    log: Arc<dyn Log>,
    /// The newest last.
    held: Vec<HeldRegistration>,
    lookup: Option<Lookup>,
}

/// An entry of a worker that the log is asked for.
struct Lookup {
    incoming: IncomingEntry,
    ids: Arc<Ids>,
    /// Whether the log knows the worker, and whether it has ended then.
    known: BoxFuture<'static, Option<bool>>,
}

impl<S> RegisteredEntries<S> {
    /// The entries of `inbound`.
    pub fn new(inbound: S, registry: Registry, log: Arc<dyn Log>) -> Self {
        Self { inbound, registry, log, held: Vec::new(), lookup: None }
    }

    fn poll_lookup(&mut self, context: &mut Context<'_>) -> Poll<Option<Admitted>> {
        let Some(lookup) = &mut self.lookup else { return Poll::Ready(None) };
        let known = ready!(lookup.known.poll_unpin(context));
        let Some(Lookup { mut incoming, ids, .. }) = self.lookup.take() else {
            return Poll::Ready(None);
        };
        let count = self.register_known(&ids, known).map_err(|reason| {
            incoming.entry = Err(Refusal { ids: Some(Ids::clone(&ids)), reason });
        });
        Poll::Ready(Some(Admitted { incoming, count: count.ok() }))
    }

    /// Registers a worker that the log knows, and counts its entry.
    fn register_known(&mut self, ids: &Arc<Ids>, known: Option<bool>) -> Result<u64, String> {
        let has_ended = known.ok_or_else(|| not_registered(ids))?;
        if let Registered::Full(reason) = self.registry.register(ids) {
            return Err(reason);
        }
        let count = self.hold(ids).ok_or_else(|| not_registered(ids));
        self.registry.note_end(ids, has_ended);
        count
    }

    /// Counts an entry of `ids` and holds their registration; `None` when there is none.
    fn hold(&mut self, ids: &Arc<Ids>) -> Option<u64> {
        let is_same = |held: &HeldRegistration| Arc::ptr_eq(&held.ids, ids) || held.ids == *ids;
        // The newest first: a stream nearly always stays with one worker.
        let known = self.held.iter().rposition(is_same);
        let at = match known {
            Some(at) => at,
            None => {
                let held = self.registry.hold(ids)?;
                if self.held.len() == MAX_HELD {
                    self.held.remove(0);
                }
                self.held.push(held);
                self.held.len() - 1
            }
        };
        let held = self.held.get(at)?;
        Some(held.session.entries.fetch_add(1, Relaxed) + 1)
    }

    fn admit(&mut self, incoming: IncomingEntry) -> Option<Admitted> {
        let Ok(accepted) = &incoming.entry else { return Some(Admitted { incoming, count: None }) };
        let ids = Arc::clone(&accepted.ids);
        if let Some(count) = self.hold(&ids) {
            return Some(Admitted { incoming, count: Some(count) });
        }
        let known = known_to(Arc::clone(&self.log), Arc::clone(&ids)).boxed();
        self.lookup = Some(Lookup { incoming, ids, known });
        None
    }
}

impl<S, E> Stream for RegisteredEntries<S>
where
    S: Stream<Item = Result<IncomingEntry, E>> + Unpin,
{
    type Item = Result<Admitted, E>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(admitted) = ready!(self.poll_lookup(context)) {
                return Poll::Ready(Some(Ok(admitted)));
            }
            let Some(incoming) = ready!(self.inbound.poll_next_unpin(context)?) else {
                return Poll::Ready(None);
            };
            if let Some(admitted) = self.admit(incoming) {
                return Poll::Ready(Some(Ok(admitted)));
            }
        }
    }
}

/// Whether the log knows the worker, and whether it has ended then. A worker that cannot be looked
/// up counts as known: registration is no protection, and its lines must not be lost.
async fn known_to(log: Arc<dyn Log>, ids: Arc<Ids>) -> Option<bool> {
    match log.worker(ids.task.clone(), ids.worker.clone()).await {
        Ok(worker) => {
            let WorkerSummary { lines, state, .. } = worker?;
            // Of one that never registered the log may have a gap, and nothing else.
            let is_known = lines > 0 || state.is_some();
            is_known.then(|| state.is_some_and(WorkerState::has_ended))
        }
        Err(error) => {
            tracing::warn!(task = %ids.task, worker = %ids.worker, %error, "a worker cannot be looked up");
            Some(false)
        }
    }
}

fn not_registered(ids: &Ids) -> String {
    let Ids { task, worker } = ids;
    format!("worker_id {worker:?} of task_id {task:?} is not registered, call RegisterWorker first")
}
