//! Types that the whole crate uses: ids, entries, blocks. Knows no protocol and no disk.
//!
//! An entry is encoded once, at ingest, into the JSON members that readers get. From there on it
//! is passed on as bytes: in a producer's [`Run`], a committed [`Block`], a reader's [`Entry`].

mod batch;
mod block;
mod id_map;
mod ids;
mod outcome;
mod scope;
mod summary;

pub use batch::{Batch, Cursor, Kind, MAX_BODY_BYTES, ProducerSession, Records, Run};
pub use block::{Block, Damaged, Entries, Entry, RunSession, encode_run, encoded_run_bytes};
pub use id_map::{IdHash, IdMap};
pub use ids::{
    Epoch, EventId, EventIdError, IdError, LineNumber, MAX_ID_BYTES, Offset, TaskId, WorkerId,
};
pub use outcome::{Outcome, ToldEnd, UnknownOutcome};
pub use scope::{Gap, Scope, describe_gap, describe_lost};
pub use summary::{CountedWorker, TaskSummary, WorkerCounts, WorkerState, WorkerSummary};

/// Now, in milliseconds since the Unix epoch.
pub fn now_ms() -> u64 {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since_epoch.map_or(0, |elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}
