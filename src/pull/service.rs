//! Decides when to pull, and when to try again.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::http1::explained;
use super::options::{Mode, PullOptions};
use super::poller::Poller;
use super::session::PullSession;
use super::state::{Handle, PullReporter, PullState};
use crate::client::backoff::Backoff;
use crate::domain::now_ms;
use crate::ingest::{Intake, PullWriter, Pushes};
use crate::store::Log;

/// Decides when to pull, and pulls; see [`crate::pull`].
pub struct Service {
    options: PullOptions,
    intake: Intake,
    log: Arc<dyn Log>,
    reporter: PullReporter,
    backoff: Backoff,
    /// The reason that was logged last.
    logged: Option<String>,
}

/// Why a pull ended.
enum PullEnd {
    /// Somebody pushes.
    Pushed,
    /// It failed for this reason.
    Failed(String),
}

impl Service {
    /// A service that has not begun, and its handle.
    pub fn new(options: PullOptions, intake: Intake, log: Arc<dyn Log>) -> (Self, Handle) {
        let reporter = PullReporter::new();
        let handle = reporter.handle();
        let backoff = Backoff::new(options.least_backoff, options.most_backoff);
        (Self { options, intake, log, reporter, backoff, logged: None }, handle)
    }

    /// Pulls until `drain` is cancelled. What was read and is not kept by then will be read again:
    /// the cursor is kept with it or not at all.
    pub async fn run(mut self, drain: CancellationToken) {
        let poller = Poller {
            options: self.options.clone(),
            intake: self.intake.clone(),
            log: Arc::clone(&self.log),
            handle: self.reporter.handle(),
        };
        let pulling = async { tokio::join!(self.pull_forever(), poller.run()) };
        drain.run_until_cancelled(pulling).await;
    }

    async fn pull_forever(&mut self) {
        loop {
            self.wait_for_turn().await;
            match self.pull().await {
                PullEnd::Pushed => self.reporter.show(PullState::Waiting),
                PullEnd::Failed(reason) => self.back_off(reason).await,
            }
        }
    }

    /// Resolves once nobody has pushed for long enough.
    async fn wait_for_turn(&self) {
        let Mode::Fallback { after } = self.options.mode else { return };
        let mut pushes = self.intake.pushes();
        loop {
            let Pushes { open, last_end } = *pushes.borrow_and_update();
            let quiet_for = last_end.elapsed();
            if open == 0 && quiet_for >= after {
                return;
            }
            self.reporter.show(PullState::Waiting);
            let quiet = async {
                match open {
                    0 => sleep(after.saturating_sub(quiet_for)).await,
                    _ => std::future::pending().await,
                }
            };
            // The intake outlives this, so the watch does not end.
            tokio::select! {
                () = quiet => {}
                _changed = pushes.changed() => {}
            }
        }
    }

    /// Resolves once somebody pushes, if that is a reason to stop.
    async fn pushed(intake: &Intake, mode: Mode) {
        match mode {
            Mode::Always => std::future::pending().await,
            Mode::Fallback { .. } => {
                drop(intake.pushes().wait_for(|pushes| pushes.open > 0).await);
            }
        }
    }

    async fn pull(&mut self) -> PullEnd {
        let intake = self.intake.clone();
        let pushed = Self::pushed(&intake, self.options.mode);
        tokio::pin!(pushed);
        self.reporter.show(PullState::Connecting);
        self.reporter.counters.attempts.add(1);
        let opened = tokio::select! {
            () = &mut pushed => return PullEnd::Pushed,
            opened = self.open() => opened,
        };
        let mut session = match opened {
            Ok(session) => session,
            Err(reason) => return PullEnd::Failed(explained(reason, &self.options.from).await),
        };
        tracing::info!(from = %self.options.from, "pull: the source responds");
        self.logged = None;
        let end = Self::pull_until(pushed, &mut session).await;
        if session.has_progressed() {
            self.backoff.reset();
        }
        if matches!(end, PullEnd::Pushed) {
            session.finish().await;
            tracing::info!("pull: stopped, because somebody pushes");
        }
        end
    }

    /// Pulls until `pushed` resolves, or the session fails.
    async fn pull_until(
        mut pushed: Pin<&mut impl Future<Output = ()>>,
        session: &mut PullSession,
    ) -> PullEnd {
        loop {
            let ready = tokio::select! {
                biased;
                () = &mut pushed => return PullEnd::Pushed,
                ready = session.ready() => ready,
            };
            if let Err(reason) = ready {
                return PullEnd::Failed(reason);
            }
            if let Err(reason) = session.take_in().await {
                return PullEnd::Failed(reason);
            }
        }
    }

    async fn open(&self) -> Result<PullSession, String> {
        let writer = PullWriter::new(self.intake.clone());
        let cursors = self.log.cursors();
        PullSession::open(&self.options, writer, cursors, self.reporter.clone()).await
    }

    /// Waits before the next attempt, unless somebody pushes.
    async fn back_off(&mut self, reason: String) {
        let delay = self.backoff.next_delay();
        if self.logged.as_ref() != Some(&reason) {
            tracing::warn!(from = %self.options.from, ?delay, "pull: {reason}");
            self.logged = Some(reason.clone());
        }
        let until_ms = now_ms() + u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.reporter.show(PullState::BackingOff { reason, until_ms });
        self.pause(delay).await;
    }

    async fn pause(&self, delay: Duration) {
        tokio::select! {
            () = Self::pushed(&self.intake, self.options.mode) => {}
            () = sleep(delay) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Hub;
    use crate::ingest::Limits;
    use crate::pull::Polling;
    use crate::store;
    use crate::tasks::{LifeCycle, Tasks};

    const AFTER: Duration = Duration::from_secs(30);

    fn intake() -> (Intake, Arc<dyn Log>) {
        let store = store::open(store::StoreOptions::in_memory(), Box::new(|_, _| {})).unwrap();
        let log: Arc<dyn Log> = Arc::new(store);
        let limits = Limits {
            entry_bytes: 1024,
            line_bytes: 4096,
            streams: 8,
            stall_timeout: AFTER,
            idle_ack: Limits::IDLE_ACK,
            budget_bytes: 1 << 24,
        };
        let tasks =
            Tasks::new(Arc::clone(&log), Hub::new(1 << 20), LifeCycle::without_grace(AFTER));
        (Intake::new(Arc::clone(&log), tasks, limits, CancellationToken::new()), log)
    }

    #[tokio::test(start_paused = true)]
    async fn our_turn_comes_once_no_push_stream_has_been_open_for_the_whole_time() {
        let (intake, log) = intake();
        let from = http::Uri::from_static("http://localhost:1");
        let options = PullOptions::new(from, Mode::Fallback { after: AFTER }, Polling::Off);
        let (service, handle) = Service::new(options, intake.clone(), log);
        let began = tokio::time::Instant::now();
        service.wait_for_turn().await;
        assert_eq!(began.elapsed(), AFTER);

        let permit = intake.permit().unwrap();
        let turn = service.wait_for_turn();
        tokio::pin!(turn);
        let for_an_hour = tokio::time::timeout(Duration::from_secs(3600), &mut turn);
        assert!(for_an_hour.await.is_err(), "it is our turn while a stream is open");
        drop(permit);
        let almost = tokio::time::timeout(AFTER - Duration::from_secs(1), &mut turn);
        assert!(almost.await.is_err(), "it is our turn too early");
        // A short stream begins the wait anew.
        drop(intake.permit().unwrap());
        let ended = tokio::time::Instant::now();
        turn.await;
        assert_eq!(ended.elapsed(), AFTER);
        assert_eq!(handle.state(), PullState::Waiting);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_on_an_address_where_nothing_listens_are_bounded() {
        let (intake, log) = intake();
        // Nothing listens on port 1, and refusals take no time on a paused clock.
        let from = http::Uri::from_static("http://127.0.0.1:1");
        let options = PullOptions::new(from, Mode::Always, Polling::Off);
        let (service, handle) = Service::new(options, intake, log);
        let drain = CancellationToken::new();
        let running = tokio::spawn(service.run(drain.clone()));
        tokio::time::sleep(Duration::from_secs(3600)).await;
        drain.cancel();
        running.await.unwrap();
        let attempts = handle.counters().attempts.get();
        // Half of a minute to a minute each, but for the first few.
        assert!((60..=130).contains(&attempts), "{attempts} attempts in an hour");
    }
}
