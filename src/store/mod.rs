//! The log store: keeps batches durably, gives them their offsets, reads them back.
//!
//! [`Log`] is the seam between everyone and the log. Behind it stands [`Store`], the
//! segmented log of one machine; a replicated one would stand there too.
//!
//! # Constraints
//! - One process has the directory, one thread writes.
//! - An entry is acknowledged only when it is durable under the chosen [`Durability`].
//! - What was acknowledged is read back, or its damage is stats; never a silent cut.
//! - After a failed write or fsync nothing more is written until the store is opened anew.
//! - Memory is bounded in bytes: the queue, the commit, the list of tasks, the indexes.
//! - Nothing here knows a protocol.
//!
//! # WireLayout
//! ```text
//! META                        format version, epoch, CRC
//! LOCK                        locked while a server has the directory
//! <first offset, 20 digits>.seg
//!     header                  see `segment`
//!     chunk*                  entries of one task, see `chunk`; payload see `domain::block`
//!     footer                  once sealed: indexes and a directory, see `footer`
//! ```
//! A commit is one chunk per task (more where a task's part is long), one write, one fsync. A
//! chunk without entries is a mark: at a commit's end it has the cursors of pulled sources, alone
//! it is what a clean close leaves: all before it is durable.
//!
//! # Modules
//! `handle` queues, `staging` makes blocks of runs, `committer` writes and publishes them,
//! `retention` seals and drops segments, `recovery` opens, `reader` reads. `directory` is what is
//! known in memory; `faults` lets tests hold the disk up or make it fail.

mod ack;
mod chunk;
mod committer;
mod cursors;
mod data_dir;
mod directory;
mod disk;
pub mod faults;
mod files;
mod footer;
mod group_commit;
mod handle;
mod index;
mod locate;
mod log;
mod open_error;
mod options;
mod reader;
mod recovery;
mod retention;
mod scan_buffer;
mod segment;
mod shared;
mod staging;
mod stats;
mod task;
#[cfg(test)]
mod tests;

pub use committer::OnCommit;
pub use disk::{Disk, DiskFile, RealDisk};
pub use handle::{RecoveredStore, Store, open, recover};
pub use log::{AppendError, Committed, Log, Read, ReadError, Receipt, TryAppendError};
pub use open_error::OpenError;
pub use options::{Durability, StoreOptions, UnknownDurability};
pub use shared::Stats;

use shared::{StoreShared, unpoisoned};
