//! Waiting for a fault to pass that has lost nothing: a full disk, no descriptor left.
//!
//! What failed is tried again, the wait between two tries growing up to [`LONGEST_WAIT`]. Meanwhile
//! the queue fills, which holds producers back; readers read on. A store that is to close does not
//! wait: what is queued then is not kept, and nobody was told that it is.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use super::committer::Committer;
use super::queue::Message;
use crate::store::log::AppendError;
use crate::store::writing::WriteState;
use crate::store::writing::{PassingFault, WriteError};

/// The wait before the second try; doubled each time, up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// What a wait has been about.
struct Wait {
    began: Instant,
    next: Duration,
}

impl Committer {
    /// Does `work`, again and again while what fails passes. `what` names it when it fails for good.
    ///
    /// # Errors
    /// When it failed for good, or the store closes before it could be done.
    pub(super) fn until_done<T>(
        &mut self,
        what: &'static str,
        mut work: impl FnMut(&mut Self) -> Result<T, WriteError>,
    ) -> Result<T, AppendError> {
        let mut wait = None;
        while !self.has_given_up {
            self.shared.stall.begin();
            let done = work(self);
            self.shared.stall.end();
            match done {
                Ok(done) => {
                    self.on_passed(wait);
                    return Ok(done);
                }
                Err(WriteError::Lasting(error)) => {
                    let reason = self.shared.poison(what, &error);
                    return Err(AppendError::Poisoned { reason });
                }
                Err(WriteError::Passing(fault)) => self.wait_out(fault, &mut wait),
            }
            self.let_old_go();
            if let Some(reason) = self.shared.failed() {
                return Err(AppendError::Poisoned { reason });
            }
        }
        Err(AppendError::Closed)
    }

    /// Tells of the fault and waits a moment; a store that is to close gives up.
    fn wait_out(&mut self, fault: PassingFault, wait: &mut Option<Wait>) {
        let reason = fault.reason(self.segments.room());
        let Wait { next, .. } = wait.get_or_insert_with(|| {
            tracing::warn!(%reason, "the store waits; entries are held back");
            Wait { began: Instant::now(), next: FIRST_WAIT }
        });
        let pause = *next;
        *next = (2 * pause).min(LONGEST_WAIT);
        self.shared.set_state(WriteState::Waiting(reason.as_str().into()));
        if !self.pause(pause) {
            tracing::warn!(%reason, "the store closes while it waits; what is queued is not kept");
            self.has_given_up = true;
        }
    }

    fn on_passed(&self, wait: Option<Wait>) {
        let Some(Wait { began, .. }) = wait else { return };
        let waited = began.elapsed();
        tracing::info!(?waited, "the store goes on; nothing was lost");
        self.shared.set_state(WriteState::Ok);
    }

    /// Takes in what is queued for so long; false where the store is to close. The queue's permits
    /// bound what is taken in.
    fn pause(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while self.closing.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            match self.receiver.recv_timeout(left) {
                Ok(Message::Close(done)) => self.closing.push(done),
                Ok(message) => self.taken_in.push_back(message),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        false
    }
}
