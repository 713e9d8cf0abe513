//! Following a task, or all of them: replay, then live, then replay again after a lag.
//!
//! A [`ReaderSession`] is one reader with its own cursor. It reads the hub's window where that
//! reaches back to its cursor and the log where it does not, so it gets every entry after its
//! start in order, or a gap that says which are gone. It knows no protocol: SSE and WebSocket
//! put its [`Event`]s into their own words.

mod filter;
mod session;
mod ticks;

pub use filter::Filter;
pub use session::{Event, ReaderSession, Source, Start};
pub use ticks::Ticks;
