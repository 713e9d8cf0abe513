//! Where commits go.

use std::io;
use std::sync::Arc;

use super::staging::StagedBlock;
use crate::domain::{Offset, TaskId};
use crate::store::catalog::{Catalog, Sealing, Segment};
use crate::store::disk::Room;
use crate::store::format::{Cursors, Millis, Trim};
use crate::store::writing::WriteError;

/// What every chunk of a commit has in its header.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct CommitHeader {
    /// Its number, one more with each commit.
    pub(in crate::store) number: u64,
    pub(in crate::store) time: Millis,
}

/// Owns the active segment, its end, and the removal of old ones. After a lasting error it must not
/// be written to again; after a passing one it stands where it stood before, and the same may be
/// written again.
pub(in crate::store) trait SegmentWriter: Send {
    /// Writes a chunk for each of `blocks`, which are at least one, and notes in them where it
    /// stands; then the cursors that the commit advances. Durable only after
    /// [`SegmentWriter::sync`]. Returns the bytes written.
    ///
    /// # Errors
    /// As the file system reports them.
    fn write(
        &mut self,
        commit: CommitHeader,
        blocks: &mut [StagedBlock],
        cursors: &Cursors,
    ) -> Result<usize, WriteError>;

    /// Makes what was written durable, as far as the durability asks for it.
    ///
    /// # Errors
    /// As the file system reports them.
    fn sync(&mut self) -> Result<(), WriteError>;

    /// Writes a commit that is a control chunk alone and durable, after all before it is durable.
    /// Returns whether there is one.
    ///
    /// # Errors
    /// As the file system reports them.
    fn write_control_chunk(
        &mut self,
        commit: CommitHeader,
        tail: Offset,
        cursors: &Cursors,
    ) -> Result<bool, WriteError>;

    /// Writes a commit of a tombstone for each of `tasks`, which are at least one, and makes it
    /// durable, after all before it is durable. Returns whether there is one.
    ///
    /// # Errors
    /// As the file system reports them.
    fn write_tombstones(
        &mut self,
        commit: CommitHeader,
        tail: Offset,
        tasks: &[TaskId],
    ) -> Result<bool, WriteError>;

    /// Writes a commit of the `trims` of some tasks and makes it durable, after all before it is durable.
    /// Returns whether there is one.
    ///
    /// # Errors
    /// As the file system reports them.
    fn write_trims(
        &mut self,
        commit: CommitHeader,
        tail: Offset,
        trims: &[(TaskId, Trim)],
    ) -> Result<bool, WriteError>;

    /// Whether the active segment has as many bytes or chunks as it may have.
    fn is_full(&self) -> bool;

    /// Whether the active segment is as old as it may get.
    fn is_old(&self, now: Millis) -> bool;

    /// Ends the active segment; the next one has no file yet.
    ///
    /// # Errors
    /// As the file system reports them.
    fn seal(&mut self, catalog: &Catalog, next_commit: u64) -> Result<Sealing, WriteError>;

    /// Makes the active segment's file where it has none; its first commit will be `next_commit`.
    ///
    /// # Errors
    /// As the file system reports them.
    fn begin(&mut self, next_commit: u64) -> Result<(), WriteError>;

    /// Looks whether the files are still those that have their names.
    ///
    /// # Errors
    /// Names the one that is gone.
    fn check_place(&self) -> io::Result<()>;

    /// How much the volume takes yet; `None` where that is not known, or there are no files.
    fn room(&self) -> Option<Room>;

    /// Takes over a segment that the catalog has forgotten, to be removed.
    fn delete(&mut self, segment: &Arc<Segment>);

    /// Removes what is still to be removed; what cannot be is tried again next time.
    fn run_pending_deletes(&mut self);

    /// Lets the data directory go.
    fn close(&mut self);
}
