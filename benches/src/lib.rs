//! Measures the real server against baselines. Every measured server runs in its own process;
//! the load runs in this one, on one thread, and is cheap enough not to be the limit.
//!
//! `entry` → `shape` → `connection` → `pusher` make the pushed load, `feed` the baselines' load, `viewers` read;
//! `process` starts servers and reads their CPU time, `rounds` interleaves, `report` prints
//! and `document` keeps.

pub mod baselines;
pub mod cases;
pub mod connection;
pub mod document;
pub mod entry;
pub mod fan;
pub mod feed;
pub mod foreign;
pub mod h2;
// The integration tests write the same frames.
#[path = "../../tests/integration/support/http2_frames.rs"]
mod http2_frames;
pub mod process;
pub mod pusher;
pub mod report;
pub mod rounds;
pub mod shape;
pub mod stats;
pub mod viewers;
