//! Whether the log takes entries now, and why not.

use std::sync::Arc;

/// Whether the log takes entries now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum WriteState {
    /// It does.
    #[default]
    Ok,
    /// It will once something has passed, such as a full disk; here is what. Nothing is lost: what is
    /// queued stays queued.
    Waiting(Arc<str>),
    /// A write failed, here is why: nothing is taken until the log is opened anew.
    Failed(Arc<str>),
}

impl WriteState {
    /// The names of all.
    pub const NAMES: &[&str] = &["ok", "waiting", "failed"];

    /// The name in metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Waiting(_) => "waiting",
            Self::Failed(_) => "failed",
        }
    }

    /// Why entries are not taken now; `None` where they are.
    pub fn reason(&self) -> Option<&Arc<str>> {
        match self {
            Self::Ok => None,
            Self::Waiting(reason) | Self::Failed(reason) => Some(reason),
        }
    }

    /// Why nothing is taken until the log is opened anew.
    pub fn failure(&self) -> Option<&Arc<str>> {
        match self {
            Self::Failed(reason) => Some(reason),
            Self::Ok | Self::Waiting(_) => None,
        }
    }

    /// Whether entries are taken now.
    pub fn is_ok(&self) -> bool {
        *self == Self::Ok
    }

    /// Whether it waits for something to pass.
    pub fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting(_))
    }
}
