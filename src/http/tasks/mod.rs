//! Tasks, without their logs: one, or a page of the list.

mod list;
mod one;
mod views;

pub(super) use list::list;
pub(super) use one::{delete, end, one, workers};
pub(super) use views::TaskOutcome;

const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1000;
