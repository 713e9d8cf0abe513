//! What pull is doing, for health, metrics and the log.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::watch;

use crate::counter::Counter;

/// What pull is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum PullState {
    /// It is not asked for.
    #[default]
    Off,
    /// Somebody pushes, or did until a moment ago.
    Waiting,
    /// It connects and waits for the first response.
    Connecting,
    /// The source responds.
    Pulling {
        /// Whether the source has nothing more for now.
        caught_up: bool,
        /// What is wrong with its responses, if anything is.
        complaint: Option<String>,
    },
    /// The last attempt ended.
    BackingOff {
        /// Why it ended.
        reason: String,
        /// When the next one begins, in milliseconds since the Unix epoch.
        until_ms: u64,
    },
}

impl PullState {
    /// The names of all.
    pub const NAMES: &[&str] = &["off", "waiting", "connecting", "pulling", "backing_off"];

    /// The name in metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Waiting => "waiting",
            Self::Connecting => "connecting",
            Self::Pulling { .. } => "pulling",
            Self::BackingOff { .. } => "backing_off",
        }
    }

    /// Whether it is our turn to pull, even if it fails.
    pub const fn is_our_turn(&self) -> bool {
        !matches!(self, Self::Off | Self::Waiting)
    }
}

/// What was counted since the start.
#[derive(Debug, Default)]
pub struct PullCounters {
    /// Streams that were asked for.
    pub attempts: Counter,
    /// Entries kept.
    pub kept: Counter,
    /// Entries that were kept before, by their own numbers.
    pub repeated: Counter,
    /// Entries and statuses that break a rule and were skipped.
    pub invalid: Counter,
    /// Responses ignored because their cursor was not greater than the one before.
    pub backwards: Counter,
    /// Statuses kept, pulled and polled.
    pub statuses: Counter,
    /// Polls for statuses that failed.
    pub failed_polls: Counter,
}

/// Watches what pull is doing. Clones watch the same.
#[derive(Debug, Clone)]
pub struct Handle {
    state: watch::Receiver<PullState>,
    counters: Arc<PullCounters>,
}

impl Handle {
    /// For a server that does not pull.
    pub fn off() -> Self {
        // Without its sender a watch keeps its last value.
        Self::new(watch::channel(PullState::Off).1, Arc::default())
    }

    fn new(state: watch::Receiver<PullState>, counters: Arc<PullCounters>) -> Self {
        Self { state, counters }
    }

    /// The state now.
    pub fn state(&self) -> PullState {
        self.state.borrow().clone()
    }

    /// The state, to be watched. It may skip states that lasted only a moment.
    pub fn watch(&self) -> watch::Receiver<PullState> {
        self.state.clone()
    }

    /// What was counted.
    pub fn counters(&self) -> &PullCounters {
        &self.counters
    }
}

/// Shows in the [`Handle`] what pull is doing. Clones show it in the same one.
#[derive(Debug, Clone)]
pub(super) struct PullReporter {
    state: watch::Sender<PullState>,
    pub(super) counters: Arc<PullCounters>,
}

impl PullReporter {
    /// Shows [`PullState::Waiting`].
    pub(super) fn new() -> Self {
        let (state, _) = watch::channel(PullState::Waiting);
        Self { state, counters: Arc::default() }
    }

    pub(super) fn handle(&self) -> Handle {
        Handle::new(self.state.subscribe(), Arc::clone(&self.counters))
    }

    pub(super) fn show(&self, state: PullState) {
        self.state.send_if_modified(|shown| {
            let is_new = *shown != state;
            *shown = state;
            is_new
        });
    }

    /// Shows whether the source has nothing more for now; only while pulling.
    pub(super) fn show_caught_up(&self, is_caught_up: bool) {
        self.state.send_if_modified(|state| {
            let PullState::Pulling { caught_up, .. } = state else { return false };
            std::mem::replace(caught_up, is_caught_up) != is_caught_up
        });
    }

    /// Shows what is wrong with the source's responses; only while pulling. The first complaint of
    /// a session is logged too.
    pub(super) fn complain(&self, complaint: &str) {
        let mut is_first = false;
        self.state.send_if_modified(|state| {
            let PullState::Pulling { complaint: shown, .. } = state else { return false };
            is_first = shown.is_none();
            let is_new = shown.as_deref() != Some(complaint);
            if is_new {
                *shown = Some(complaint.into());
            }
            is_new
        });
        if is_first {
            tracing::warn!("pull: {complaint}");
        }
    }
}
