//! Tells when a write hangs: the committer's thread cannot, it waits in the system's call.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use super::state::WriteState;
use crate::store::shared::StoreShared;

/// How often it is looked, at most and at least.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LOOKS_PER_TIMEOUT: u32 = 4;

/// Ends the watching when it is dropped.
#[derive(Debug)]
pub(in crate::store) struct StallWatch {
    _end: Sender<()>,
}

/// Starts the thread that tells when a write takes longer than `timeout`, and when it is over.
///
/// # Errors
/// When the system gives no thread.
pub(in crate::store) fn watch(
    shared: Arc<StoreShared>,
    timeout: Duration,
) -> io::Result<StallWatch> {
    let (end, ended) = mpsc::channel();
    let watcher = Watcher { shared, timeout, told: None };
    thread::Builder::new().name("store-watch".to_owned()).spawn(move || watcher.run(&ended))?;
    Ok(StallWatch { _end: end })
}

struct Watcher {
    shared: Arc<StoreShared>,
    timeout: Duration,
    /// What was told of the write that hangs, and how long it had waited then.
    told: Option<(Arc<str>, Duration)>,
}

impl Watcher {
    fn run(mut self, ended: &Receiver<()>) {
        let interval = (self.timeout / LOOKS_PER_TIMEOUT).min(LOOK_EVERY);
        while ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
            match self.shared.stall.waited().filter(|waited| *waited >= self.timeout) {
                Some(waited) => self.on_stalled(waited),
                None => self.on_flowing(),
            }
        }
        self.on_flowing();
    }

    fn on_stalled(&mut self, waited: Duration) {
        let reason: Arc<str> =
            format!("a commit has waited {} s for the disk", waited.as_secs()).into();
        if self.told.is_none() {
            tracing::warn!(?waited, "the disk is stalled; entries wait");
        }
        let told = self.told.replace((Arc::clone(&reason), waited));
        self.shared.state.send_if_modified(|state| {
            let is_free = state.is_ok() || is_told(state, told.as_ref());
            if is_free {
                *state = WriteState::Waiting(reason);
            }
            is_free
        });
    }

    /// Takes back what was told, unless somebody has told something else since.
    fn on_flowing(&mut self) {
        let Some(told) = self.told.take() else { return };
        tracing::info!(waited = ?told.1, "the disk goes on");
        self.shared.state.send_if_modified(|state| {
            let is_ours = is_told(state, Some(&told));
            if is_ours {
                *state = WriteState::Ok;
            }
            is_ours
        });
    }
}

/// Whether `state` is what was `told` here.
fn is_told(state: &WriteState, told: Option<&(Arc<str>, Duration)>) -> bool {
    match (state, told) {
        (WriteState::Waiting(reason), Some((told, _))) => Arc::ptr_eq(reason, told),
        _ => false,
    }
}
