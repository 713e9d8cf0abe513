//! From the queue to the disk: one thread that makes queued batches durable, in order.
//!
//! # What it guarantees
//! - A commit is made as a whole: a chunk for each task, one write, one fsync. Then readers see
//!   it, the hub gets it, and producers are acknowledged, in this order.
//! - Batches are committed in the order in which they were queued.
//! - After a failed write or fsync nothing more is written, unless what failed the write passes and
//!   has lost nothing: then it waits.
//!
//! `queue` is what waits, `staging` makes blocks of it, `segment_writer` is where they go: files
//! (`file_segments`) or nowhere (`memory_segments`). `group_commit` decides when, `committer` is
//! the loop, `maintenance` what it does between two commits, `waiting` what it does when the disk is
//! full, `hiding` writes tombstones and trims, `indexer` keeps the task index, `ack` answers.

mod ack;
mod committer;
mod file_segments;
mod group_commit;
mod hiding;
mod indexer;
mod maintenance;
mod memory_segments;
mod queue;
mod segment_writer;
mod staging;
mod waiting;

pub use committer::{OnCommit, OnDelete};

pub(super) use ack::AckSender;
pub(super) use committer::Committer;
pub(super) use file_segments::{ActiveFile, ActiveSegment, FileSegments};
pub(super) use memory_segments::MemorySegments;
pub(super) use queue::{Message, QueuedBatch, QueuedDeletion, queued_bytes};
pub(super) use segment_writer::SegmentWriter;
