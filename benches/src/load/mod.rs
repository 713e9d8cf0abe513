//! The load: `connection` → `pusher` push, `feed` is the baselines' load, `viewers` read, `fan` does both.

pub mod connection;
pub mod fan;
pub mod feed;
pub mod h2;
// The integration tests write the same frames.
#[path = "../../../tests/integration/support/http2_frames.rs"]
mod http2_frames;
pub mod pusher;
pub mod viewers;
