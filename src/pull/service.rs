//! When to pull, and when to try again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::options::{Mode, Options};
use super::poller::Poller;
use super::probe::explained;
use super::session::{Session, add};
use super::state::{Counters, Handle, State};
use crate::client::backoff::Backoff;
use crate::domain::now_ms;
use crate::ingest::{Intake, Pushes};
use crate::store::Log;

/// Client mode; see the module.
pub struct Service {
    options: Options,
    intake: Intake,
    log: Arc<dyn Log>,
    state: watch::Sender<State>,
    counters: Arc<Counters>,
    backoff: Backoff,
    /// The reason that was logged last.
    logged: Option<String>,
}

/// Why a pull ended.
enum End {
    /// Somebody pushes.
    Pushed,
    /// For this reason.
    Failed(String),
}

impl Service {
    /// Client mode that has not begun, and its handle.
    pub fn new(options: Options, intake: Intake, log: Arc<dyn Log>) -> (Self, Handle) {
        let (state, watched) = watch::channel(State::Waiting);
        let counters = Arc::<Counters>::default();
        let handle = Handle::new(watched, Arc::clone(&counters));
        let backoff = Backoff::new(options.least_backoff, options.most_backoff);
        (Self { options, intake, log, state, counters, backoff, logged: None }, handle)
    }

    /// Works until `drain` is cancelled. What was read and is not kept by then will be read
    /// again: the cursor is kept with it or not at all.
    pub async fn run(mut self, drain: CancellationToken) {
        let poller = Poller {
            options: self.options.clone(),
            intake: self.intake.clone(),
            log: Arc::clone(&self.log),
            state: self.state.subscribe(),
            counters: Arc::clone(&self.counters),
        };
        let work = async { tokio::join!(self.work(), poller.run()) };
        drain.run_until_cancelled(work).await;
    }

    async fn work(&mut self) {
        loop {
            self.wait_for_turn().await;
            match self.pull().await {
                End::Pushed => self.show(State::Waiting),
                End::Failed(reason) => self.back_off(reason).await,
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
            self.show(State::Waiting);
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

    /// Resolves once somebody pushes and that is a reason to stop.
    async fn pushed(intake: &Intake, mode: Mode) {
        match mode {
            Mode::Always => std::future::pending().await,
            Mode::Fallback { .. } => {
                drop(intake.pushes().wait_for(|pushes| pushes.open > 0).await);
            }
        }
    }

    async fn pull(&mut self) -> End {
        let intake = self.intake.clone();
        let pushed = Self::pushed(&intake, self.options.mode);
        tokio::pin!(pushed);
        self.show(State::Connecting);
        add(&self.counters.attempts, 1);
        let opened = tokio::select! {
            () = &mut pushed => return End::Pushed,
            opened = self.open() => opened,
        };
        let mut session = match opened {
            Ok(session) => session,
            Err(reason) => return End::Failed(explained(reason, &self.options.from).await),
        };
        tracing::info!(from = %self.options.from, "pull: the source answers");
        self.logged = None;
        let failed = loop {
            let ready = tokio::select! {
                biased;
                () = &mut pushed => break None,
                ready = session.ready() => ready,
            };
            if let Err(reason) = ready {
                break Some(reason);
            }
            if let Err(reason) = session.take_in().await {
                break Some(reason);
            }
        };
        if session.has_progressed() {
            self.backoff.reset();
        }
        match failed {
            Some(reason) => End::Failed(reason),
            None => {
                session.finish().await;
                tracing::info!("pull: somebody pushes, so nothing is pulled");
                End::Pushed
            }
        }
    }

    async fn open(&self) -> Result<Session, String> {
        let way_in = (self.intake.clone(), self.log.cursors());
        let shown = (self.state.clone(), Arc::clone(&self.counters));
        Session::open(&self.options, way_in, shown).await
    }

    /// Waits before the next attempt, unless somebody pushes.
    async fn back_off(&mut self, reason: String) {
        let delay = self.backoff.next_delay();
        if self.logged.as_ref() != Some(&reason) {
            tracing::warn!(from = %self.options.from, ?delay, "pull: {reason}");
            self.logged = Some(reason.clone());
        }
        let until_ms = now_ms() + u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.show(State::BackingOff { reason, until_ms });
        self.pause(delay).await;
    }

    async fn pause(&self, delay: Duration) {
        tokio::select! {
            () = Self::pushed(&self.intake, self.options.mode) => {}
            () = sleep(delay) => {}
        }
    }

    fn show(&self, state: State) {
        self.state.send_if_modified(|shown| {
            let is_new = *shown != state;
            *shown = state;
            is_new
        });
    }
}
