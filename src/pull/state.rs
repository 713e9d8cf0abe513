//! What client mode is doing, for health, metrics and the log.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use serde::Serialize;
use tokio::sync::watch;

/// What client mode is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum PullState {
    /// It is not asked for.
    Off,
    /// Somebody pushes, or did until a moment ago.
    Waiting,
    /// It connects and waits for the first answer.
    Connecting,
    /// The source answers.
    Pulling {
        /// Whether the source has nothing more for now.
        caught_up: bool,
        /// What is wrong with its answers, where something is.
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
    /// The state's name, for metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Waiting => "waiting",
            Self::Connecting => "connecting",
            Self::Pulling { .. } => "pulling",
            Self::BackingOff { .. } => "backing_off",
        }
    }

    /// Whether it is our turn to pull, be it well or not.
    pub const fn is_our_turn(&self) -> bool {
        !matches!(self, Self::Off | Self::Waiting)
    }
}

/// What was counted since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Streams that were asked for.
    pub attempts: AtomicU64,
    /// Entries kept.
    pub kept: AtomicU64,
    /// Entries that were kept before, by their own numbers.
    pub repeated: AtomicU64,
    /// Entries and statuses that break a rule and were skipped.
    pub invalid: AtomicU64,
    /// Answers ignored because their cursor was not greater than the one before.
    pub backwards: AtomicU64,
    /// Statuses kept, pulled and polled.
    pub statuses: AtomicU64,
    /// Polls for statuses that failed.
    pub failed_polls: AtomicU64,
}

/// What client mode is doing. Clones share it.
#[derive(Debug, Clone)]
pub struct Handle {
    state: watch::Receiver<PullState>,
    counters: Arc<Counters>,
}

impl Handle {
    /// Of a server without client mode.
    pub fn off() -> Self {
        // Without its sender a watch keeps its last value.
        Self::new(watch::channel(PullState::Off).1, Arc::default())
    }

    pub(super) fn new(state: watch::Receiver<PullState>, counters: Arc<Counters>) -> Self {
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
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}
