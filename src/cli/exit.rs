//! The exit codes of `push`, `tail`, `tasks` and `simulate`. README has the table.

use crate::domain::Outcome;

/// Everything is well; a task that was followed succeeded.
pub(super) const SUCCESS: u8 = 0;

/// The task failed.
pub(super) const TASK_FAILED: u8 = 1;

/// The arguments or the input cannot be used, or the server refused the request.
pub(super) const USAGE: u8 = 2;

/// Nothing told how the task ended.
pub(super) const END_UNKNOWN: u8 = 3;

/// There is no such task.
pub(super) const NO_TASK: u8 = 4;

/// The server cannot be reached, or did not take everything although that was required.
pub(super) const GAVE_UP: u8 = 5;

/// The task was terminated.
pub(super) const TASK_TERMINATED: u8 = 6;

/// A command that `push` was to run may not be executed.
pub(super) const NOT_EXECUTABLE: u8 = 126;

/// A command that `push` was to run cannot be started.
pub(super) const NOT_STARTED: u8 = 127;

/// With a signal's number added: it ended by that signal.
pub(super) const SIGNAL_BASE: u8 = 128;

/// How a followed task ended, as an exit code.
pub(super) fn of_outcome(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Succeeded => SUCCESS,
        Outcome::Failed => TASK_FAILED,
        Outcome::Lost | Outcome::Unknown => END_UNKNOWN,
        Outcome::Terminated => TASK_TERMINATED,
    }
}

/// The one of two that says more about what went wrong.
pub(super) fn worse(one: u8, other: u8) -> u8 {
    let order = [USAGE, GAVE_UP, NO_TASK, TASK_FAILED, TASK_TERMINATED, END_UNKNOWN];
    order.into_iter().find(|code| [one, other].contains(code)).unwrap_or(SUCCESS)
}
