//! The tasks of sealed segments, on the disk: an index that can be made anew from their footers.
//!
//! # Constraints
//! - Memory does not grow with the number of tasks: what is asked for is read.
//! - It is never the only place of anything. A segment's footer is taken in as one transaction
//!   that also says how far the index has come; what is missing, damaged or ahead of the segments
//!   is made anew when the store opens.
//! - A change is durable when it returns. Readers see whole transactions.
//!
//! # Tables
//! ```text
//! spans    (task, segment's first offset)  → SpanRow
//! tasks    task                            → TaskRow
//! newest   last offset                     → task            the list's order
//! workers  (task, ordinal)                 → WorkerRecord
//! ordinals (task, worker)                  → ordinal
//! deleted  task                            → DeletionRow
//! trimmed  task                            → TrimRow
//! meta     name                            → number
//! ```
//! The file is a `redb` database; why, stands in `docs/adr/0011-tasks-on-disk.md`.

mod error;
mod file;
mod footers;
mod lookup;
mod rows;
mod tables;
mod update;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::backends::InMemoryBackend;
use redb::{Builder, Database, ReadableDatabase};

use crate::domain::{Epoch, Offset};
use crate::store::format::FooterTasks;
use crate::store::writing::PassingFault;

pub(super) use error::IndexError;
pub(super) use footers::{FooterError, trailer, with_footer, with_footer_of};
pub(super) use lookup::{IndexReader, IndexedTask};
pub(super) use rows::{SpanRow, TaskRow, WorkerRow};
pub(super) use update::SegmentRange;

use file::{IndexFile, Patience};
use tables::{META, create_tables};
use update::VERSION;

/// The index's file in the data directory.
const FILE: &str = "TASKS";

/// What the database may cache in memory, in bytes.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// How far an index has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) epoch: Epoch,
    /// The offset after the last entry of the last segment that was taken in.
    pub(super) indexed_to: Offset,
    /// That segment's [`SegmentRange::crc`].
    pub(super) last_crc: u32,
}

/// The tasks of sealed segments.
pub(super) struct TaskIndex {
    database: Database,
    patience: Arc<Patience>,
    /// `None` where it is in memory.
    path: Option<PathBuf>,
}

impl std::fmt::Debug for TaskIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskIndex").field("path", &self.path).finish_non_exhaustive()
    }
}

impl TaskIndex {
    /// Opens the index in `dir`, or makes an empty one.
    ///
    /// # Errors
    /// What the file system reports, and a file that is not an index or is damaged.
    pub(super) fn open(dir: &Path) -> Result<Self, IndexError> {
        let path = dir.join(FILE);
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path)?;
        // A store of this process that was closed and not dropped still has it.
        file.try_lock().map_err(|_| redb::DatabaseError::DatabaseAlreadyOpen)?;
        let patience = Arc::new(Patience::default());
        let file = IndexFile::new(file, Arc::clone(&patience));
        let database = Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(file)?;
        let index = Self { database, patience, path: Some(path) };
        index.prepare()?;
        Ok(index)
    }

    /// An empty index that is gone with the process.
    ///
    /// # Errors
    /// None that are known.
    pub(super) fn in_memory() -> Result<Self, IndexError> {
        let database = Builder::new().create_with_backend(InMemoryBackend::new())?;
        let index = Self { database, patience: Arc::default(), path: None };
        index.prepare()?;
        Ok(index)
    }

    /// Removes the index's file in `dir`, to be made anew.
    ///
    /// # Errors
    /// As the file system reports them.
    pub(super) fn remove(dir: &Path) -> io::Result<()> {
        match std::fs::remove_file(dir.join(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// How far it has come; `None` when it is empty or of another version.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn progress(&self) -> Result<Option<Progress>, IndexError> {
        let meta = self.database.begin_read()?.open_table(META)?;
        let number = |name| Ok::<_, IndexError>(meta.get(name)?.map(|value| value.value()));
        let (version, epoch) = (number("version")?, number("epoch")?);
        let (to, crc) = (number("indexed_to")?, number("last_crc")?);
        let (Some(VERSION), Some(epoch), Some(to), Some(crc)) = (version, epoch, to, crc) else {
            return Ok(None);
        };
        let (epoch, last_crc) = (Epoch(epoch as u32), crc as u32);
        Ok(Some(Progress { epoch, indexed_to: Offset(to), last_crc }))
    }

    /// Whether nothing was ever taken in.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn is_empty(&self) -> Result<bool, IndexError> {
        let meta = self.database.begin_read()?.open_table(META)?;
        Ok(meta.get("version")?.is_none())
    }

    /// What stands in it now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn reader(&self) -> Result<IndexReader, IndexError> {
        IndexReader::new(&self.database)
    }

    /// Takes in what the footer of a segment says; segments come in order.
    ///
    /// # Errors
    /// When the index cannot be changed; nothing is changed then.
    pub(super) fn add_segment(
        &self,
        epoch: Epoch,
        segment: SegmentRange,
        tasks: &FooterTasks<'_>,
    ) -> Result<(), IndexError> {
        update::add_segment(&self.database, epoch, segment, tasks)
    }

    /// Lets go of what the footer of the oldest segment says: the tasks that have nothing else,
    /// and the workers that have nothing later.
    ///
    /// # Errors
    /// When the index cannot be changed; nothing is changed then.
    pub(super) fn remove_segment(
        &self,
        segment: SegmentRange,
        tasks: &FooterTasks<'_>,
    ) -> Result<(), IndexError> {
        update::remove_segment(&self.database, segment, tasks)
    }

    /// Lets go of what the index has of the oldest segment, which begins with `base` and whose footer
    /// cannot be read. Of the workers that have nothing else some may stay as long as their task.
    ///
    /// # Errors
    /// When the index cannot be changed; nothing is changed then.
    pub(super) fn remove_damaged_segment(&self, base: Offset) -> Result<(), IndexError> {
        update::remove_damaged_segment(&self.database, base)
    }

    /// From now on a change waits while the disk is full, until [`TaskIndex::give_up`].
    pub(super) fn wait_for_room(&self) {
        self.patience.begin();
    }

    /// Lets no change wait any more; one that does fails.
    pub(super) fn give_up(&self) {
        self.patience.end();
    }

    /// What a change waits for.
    pub(super) fn waits_for(&self) -> Option<PassingFault> {
        self.patience.waits_for()
    }

    fn prepare(&self) -> Result<(), IndexError> {
        let write = self.database.begin_write()?;
        create_tables(&write)?;
        write.commit()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
