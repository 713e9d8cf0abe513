//! The connections of the HTTP side, each with its times and its refusals of bad heads.

mod head_refusal;
mod phase;
mod serve;
mod watched_io;

pub use serve::{serve, serve_metrics};
