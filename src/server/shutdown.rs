//! Shutdown: everything that was received is kept and answered, then everyone goes.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::Server;
use crate::ingest::Intake;
use crate::store::{Log, Store, WriteState};

/// How long connections stay once nothing is left to keep or to answer: for clients that are still
/// to read their last bytes. Those that neither end nor go on are closed then.
const DRAIN_GRACE: Duration = Duration::from_secs(2);

/// How often it is looked whether something is still being kept.
const QUIET_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// What became of what had arrived.
enum Drained {
    /// It is kept, or was answered that it is not.
    Wholly,
    /// The store waited for a fault, named here, and what was queued is not kept.
    WithoutQueued(Arc<str>),
}

impl Server {
    /// Loses nothing that arrived; see the module `server`.
    ///
    /// # Errors
    /// When something that was received was not kept and answered within the drain timeout.
    pub async fn shut_down(mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + self.drain_timeout;
        self.shutdown.drain.cancel();
        let drained = timeout_at(deadline, self.drain()).await;
        self.shutdown.disconnect.cancel();
        // Even when the time is up, the store begins to close; it is just not waited for.
        let is_closed = timeout_at(deadline, self.store.close()).await.is_ok();
        let drain_timeout = self.drain_timeout;
        self.stop().await;
        if let Ok(Drained::WithoutQueued(reason)) = drained {
            anyhow::bail!("what was queued is not kept and not acknowledged: {reason}");
        }
        let is_drained = drained.is_ok();
        anyhow::ensure!(
            is_drained && is_closed,
            "not everything received was kept and answered within the drain timeout of {}",
            humantime::format_duration(drain_timeout)
        );
        tracing::info!("shut down, everything received is kept");
        Ok(())
    }

    /// Waits until all clients are gone, or until those that are left have had their time; then
    /// until what they sent is kept.
    async fn drain(&mut self) -> Drained {
        let all_gone = async {
            self.intake.drained().await;
            while self.services.join_next().await.is_some() {}
        };
        tokio::select! {
            () = all_gone => return Drained::Wholly,
            () = quiet(&self.intake, &self.store) => {}
        }
        let drained = self.let_queued_go().await;
        tracing::info!("closing the connections that are still open");
        self.shutdown.disconnect.cancel();
        // A stream whose producer had stopped reading may have entries that were not looked at.
        self.intake.drained().await;
        drained
    }

    /// Where the store waits for a fault to pass, nobody knows for how long: what is queued is
    /// answered that it is not kept.
    async fn let_queued_go(&self) -> Drained {
        let state = self.store.write_state().borrow().clone();
        match state {
            WriteState::Waiting(reason) if self.store.pressure() > 0.0 => {
                self.store.close().await;
                Drained::WithoutQueued(reason)
            }
            _ => Drained::Wholly,
        }
    }

    /// Ends what is left, and does not wait long where something hangs.
    async fn stop(mut self) {
        let ended = async { while self.services.join_next().await.is_some() {} };
        let are_ended = timeout(DRAIN_GRACE, ended).await.is_ok();
        let are_stopped = timeout(DRAIN_GRACE, self.threads.stop()).await.is_ok();
        if !(are_ended && are_stopped) {
            tracing::warn!("a part of the server still runs and is not waited for");
        }
    }
}

/// Resolves once nothing was queued, kept or refused for [`DRAIN_GRACE`]: whoever is left then does
/// not wait for this server. What is queued while the store waits for a fault to pass does not count.
async fn quiet(intake: &Intake, store: &Store) {
    let mut answered = intake.counters().answered();
    let mut since = Instant::now();
    while since.elapsed() < DRAIN_GRACE {
        sleep(QUIET_CHECK_INTERVAL).await;
        let now_answered = intake.counters().answered();
        let is_queued = store.pressure() > 0.0 && !store.write_state().borrow().is_waiting();
        if is_queued || now_answered != answered {
            (answered, since) = (now_answered, Instant::now());
        }
    }
}
