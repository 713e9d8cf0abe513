//! Following a task, or all of them: replay, then live, then replay again after a lag.
//!
//! A [`ReaderSession`] is one reader with its own cursor. It reads the hub's window where that
//! reaches back to its cursor and the log where it does not, so it gets every entry after its
//! start in order, or a gap that says which are missing. It knows no protocol: the transport turns
//! its [`Event`]s into bytes.

mod filter;
#[cfg(test)]
pub(crate) mod fixture;
mod line_filter;
mod session;
mod source;
mod start;
mod ticks;

pub use filter::{Filter, LineParts};
pub use line_filter::LineFilter;
pub use session::{Event, ReaderSession};
pub use source::Source;
pub use start::Start;
pub use ticks::Ticks;
