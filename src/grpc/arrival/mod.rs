//! Messages on their way in: their size, their time and the memory they take are bounded.

mod bounded_body;
mod calls;
mod hold;
mod skipped;
mod status_codec;
mod unpacked_body;
mod watch;

pub(super) use bounded_body::MessageLimit;
pub(super) use calls::{Calls, stream_budget};
pub(super) use skipped::Skipped;
pub(super) use status_codec::StatusCodec;
pub(super) use watch::{ArrivalWatch, Progress};
