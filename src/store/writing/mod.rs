//! Whether writing goes well: the errors of a write, what is told of them, and a write that hangs.

mod error;
mod stall;
mod stall_clock;
mod state;

pub use state::WriteState;

pub(super) use error::{PassingFault, WriteError};
pub(super) use stall::{StallWatch, watch};
pub(super) use stall_clock::StallClock;
