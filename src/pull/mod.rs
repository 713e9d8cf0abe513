//! Pulls logs from a source where nobody can push them.
//!
//! ```text
//! source ─PullWorkerLogs▶ PullCodec ─▶ PullResponse ─ PullSession ─▶ ingest::PullWriter ─▶ Log (entries + cursor)
//! source ─GetWorkerStatus▶ Poller ─▶ Intake::notify
//! ```
//!
//! # What it guarantees
//! - The source's cursor is kept in the same commit as the entries that it stands for. So the
//!   next request names exactly what is kept, whatever crashed, and nothing is lost or repeated.
//! - In [`Mode::Fallback`] it pulls only while no push stream has been open for a while, and
//!   stops when one opens; it then tells the source once how far it has read.
//! - Attempts are bounded whatever the source does: after a stream that brought something the
//!   next begins after half a second or more, otherwise with exponential backoff and jitter.
//! - A response whose cursor is not greater than the last one's is ignored and counted.
//!
//! The protocol, and what a source must do, is described in `worker_log_source.proto`.

mod codec;
mod connection;
mod http1;
mod numbering;
mod options;
mod poller;
mod reason;
mod service;
mod session;
mod state;

pub use options::{Mode, Polling, PullOptions};
pub use service::Service;
pub use state::{Handle, PullCounters, PullState};
