//! Reading the footers of sealed segments, which the index is made of.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::update::SegmentRange;
use crate::domain::{Epoch, Offset};
use crate::store::format::{
    ChecksumSeed, Cursors, FilePosition, FooterTasks, TRAILER_BYTES, Trailer, read_footer_part,
    read_trailer,
};

/// Why a footer cannot be read.
#[derive(Debug, thiserror::Error)]
pub(in crate::store) enum FooterError {
    /// The file system refused.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The segment's file.
        path: PathBuf,
        /// The refusal.
        source: io::Error,
    },
    /// There is no footer.
    #[error("{path} has no footer")]
    Missing {
        /// The segment's file.
        path: PathBuf,
        /// Where it should begin.
        position: FilePosition,
    },
    /// What it says of tasks is damaged.
    #[error("{path} has a damaged list of tasks in its footer, at byte {}", position.0)]
    Damaged {
        /// The segment's file.
        path: PathBuf,
        /// Where the list begins.
        position: FilePosition,
    },
}

impl FooterError {
    /// Whether the footer is not what was written, or gone.
    pub(in crate::store) fn is_damage(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::Missing { .. } | Self::Damaged { .. } => true,
        }
    }
}

/// What a footer says.
#[derive(Debug)]
pub(in crate::store) struct Footer<'a> {
    trailer: Trailer,
    tasks: FooterTasks<'a>,
}

impl<'a> Footer<'a> {
    pub(in crate::store) fn tasks(&self) -> &FooterTasks<'a> {
        &self.tasks
    }

    pub(in crate::store) fn cursors(&self) -> &Cursors {
        &self.tasks.cursors
    }

    /// The segment's place, for the task index; it begins with `base`.
    pub(in crate::store) fn range(&self, base: Offset) -> SegmentRange {
        let sealed = &self.trailer.sealed;
        SegmentRange { base, end: sealed.end_offset, crc: sealed.sparse.crc }
    }
}

/// The end of a segment's file; cheap, for those who need nothing of its tasks.
///
/// # Errors
/// As the file system reports them, and when there is none.
pub(in crate::store) fn trailer(
    epoch: Epoch,
    base: Offset,
    path: &Path,
) -> Result<Trailer, FooterError> {
    trailer_of(&open(path)?, epoch, base, path)
}

fn open(path: &Path) -> Result<File, FooterError> {
    File::open(path).map_err(|source| FooterError::Io { path: path.to_owned(), source })
}

fn trailer_of(
    file: &File,
    epoch: Epoch,
    base: Offset,
    path: &Path,
) -> Result<Trailer, FooterError> {
    let io = |source| FooterError::Io { path: path.to_owned(), source };
    let bytes = file.metadata().map_err(io)?.len();
    let trailer = read_trailer(file, bytes, ChecksumSeed::new(epoch, base)).map_err(io)?;
    let position = FilePosition(bytes.saturating_sub(TRAILER_BYTES as u64));
    trailer.ok_or_else(|| FooterError::Missing { path: path.to_owned(), position })
}

/// Reads the footer of the segment that begins with `base`, for `use_it`.
///
/// # Errors
/// As the file system reports them, and when it is missing or damaged.
pub(in crate::store) fn with_footer<T>(
    epoch: Epoch,
    base: Offset,
    path: &Path,
    use_it: impl FnOnce(&Footer<'_>) -> T,
) -> Result<T, FooterError> {
    with_footer_of(&open(path)?, epoch, base, path, use_it)
}

/// Reads the footer of the open segment `file`, which begins with `base`, for `use_it`.
///
/// # Errors
/// As the file system reports them, and when it is missing or damaged.
pub(in crate::store) fn with_footer_of<T>(
    file: &File,
    epoch: Epoch,
    base: Offset,
    path: &Path,
    use_it: impl FnOnce(&Footer<'_>) -> T,
) -> Result<T, FooterError> {
    let io = |source| FooterError::Io { path: path.to_owned(), source };
    let trailer = trailer_of(file, epoch, base, path)?;
    let position = trailer.records.position;
    let damaged = || FooterError::Damaged { path: path.to_owned(), position };
    let encoded = read_footer_part(file, trailer.records).map_err(io)?.ok_or_else(damaged)?;
    let tasks = FooterTasks::decode(&encoded).ok_or_else(damaged)?;
    Ok(use_it(&Footer { trailer, tasks }))
}
