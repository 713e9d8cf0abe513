//! Who asks.

use std::sync::Arc;
use std::time::Duration;

use super::access::Access;
use crate::domain::{TaskId, now_ms};
use crate::http::problem::Problem;

/// Who sent a request.
#[derive(Debug, Clone)]
pub(in crate::http) struct Identity {
    /// Claim `sub`; `None` where no token is needed.
    pub(in crate::http) subject: Option<Arc<str>>,
    /// Claim `exp`, in seconds since the Unix epoch.
    pub(in crate::http) expires_at: Option<u64>,
    /// What they may read.
    pub(in crate::http) tasks: Access,
    /// Whether they may delete what they may read: claim `delete`.
    pub(in crate::http) may_delete: bool,
    /// Whether they may tell the end of what they may read: claim `push`.
    pub(in crate::http) may_push: bool,
}

impl Identity {
    /// Everybody's, where no token is needed.
    pub(super) const ANYBODY: Self = Self {
        subject: None,
        expires_at: None,
        tasks: Access::All,
        may_delete: true,
        may_push: true,
    };

    /// How long it is until the token expires.
    pub(in crate::http) fn time_left(&self) -> Option<Duration> {
        let left_ms = |at: u64| at.saturating_mul(1000).saturating_sub(now_ms());
        self.expires_at.map(|at| Duration::from_millis(left_ms(at)))
    }

    /// Refuses whoever may not read every task.
    pub(in crate::http) fn check_all(&self) -> Result<(), Problem> {
        if matches!(self.tasks, Access::All) { Ok(()) } else { Err(Problem::needs_all_tasks()) }
    }

    /// Refuses a task that they may not delete.
    pub(in crate::http) fn check_deletion(&self, task: &TaskId) -> Result<(), Problem> {
        self.check(task)?;
        if self.may_delete { Ok(()) } else { Err(Problem::may_not_delete()) }
    }

    /// Refuses a task whose end they may not tell.
    pub(in crate::http) fn check_push(&self, task: &TaskId) -> Result<(), Problem> {
        self.check(task)?;
        if self.may_push { Ok(()) } else { Err(Problem::may_not_push()) }
    }

    /// Refuses a task that they may not read.
    pub(in crate::http) fn check(&self, task: &TaskId) -> Result<(), Problem> {
        if self.tasks.allows(task) { Ok(()) } else { Err(Problem::forbidden(task)) }
    }
}
