//! The log store: keeps batches durably, gives them their offsets, reads them back.
//!
//! [`Log`] is the seam between everyone and the log. Behind it stands [`Store`], the
//! segmented log of one machine; a replicated one would stand there too.
//!
//! # Constraints
//! - One process has the data directory, one thread writes.
//! - An entry is acknowledged only when it is durable under the chosen [`Durability`].
//! - What was acknowledged is read back, or its damage is told; never silently dropped.
//! - After a failed write or fsync nothing more is written until the store is opened anew.
//! - Memory is bounded in bytes: the queue, the commit, the list of tasks, the indexes.
//! - Nothing here knows a protocol.
//!
//! # Layout
//! ```text
//! META                        format version, epoch, CRC
//! LOCK                        locked while a server has the data directory
//! <first offset, 20 digits>.seg
//!     header                  see `format/segment`
//!     chunk*                  entries of one task, see `format/chunk`; payload see `domain::block`
//!     footer                  once sealed: indexes and a list of tasks, see `format/footer`
//! ```
//! A commit is one chunk per task (more where a task's part is long), one write, one fsync. A
//! chunk without entries is a control chunk: at a commit's end it has the cursors of pulled sources,
//! alone it is what a clean close leaves: all before it is durable. With a task's id it is a tombstone:
//! what the task has before it is deleted.
//!
//! # Modules
//! In the order of the data's way: `log` is the seam and `handle` the queue before the committer;
//! `commit` makes batches durable, `catalog` is what is known in memory, `read` reads back. `format`
//! is what stands on the disk, `recovery` opens it, `retention` says what goes. `memory` is all there
//! is to read where there are no files. `offline` looks at a data directory and copies it, without a server. `disk` is the seam
//! to the file system; `faults` lets tests hold it up or make it fail.

mod catalog;
mod commit;
mod counters;
mod damage;
mod data_dir;
mod disk;
pub mod faults;
mod format;
mod handle;
mod limits;
mod locks;
mod log;
mod memory;
pub mod offline;
mod open_error;
mod options;
mod read;
mod recovery;
mod retention;
mod shared;
mod task_index;
#[cfg(test)]
mod tests;
mod writing;

pub use commit::{OnCommit, OnDelete};
pub use counters::{CommitSizes, GapCount, KeptGaps, Stats};
pub use disk::{Disk, DiskFile, FileState, RealDisk, Room};
pub use handle::{RecoveredStore, Store, open, recover};
pub use limits::{TaskAgeLimit, WallClock};
pub use log::{
    AppendError, Committed, DeleteError, Log, Read, ReadError, Receipt, TaskEnd, TaskFilter,
    TaskPage, TaskQuery, TryAppendError,
};
pub use open_error::OpenError;
pub use options::{Durability, StoreOptions, UnknownDurability};
pub use writing::WriteState;
