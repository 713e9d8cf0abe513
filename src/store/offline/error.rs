//! Why a data directory cannot be looked at or copied.

use std::io;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;

use crate::store::open_error::OpenError;

/// Why a data directory cannot be looked at or copied.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The store's files cannot be read as such.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no data directory there.
    #[error("{path} is not a data directory: it has neither META nor a segment")]
    NotAStore {
        /// What was given.
        path: PathBuf,
    },
    /// There is no backup there.
    #[error("{path} is not a finished backup: it has no file BACKUP")]
    NotABackup {
        /// What was given.
        path: PathBuf,
    },
    /// The target is there already.
    #[error("{path} exists and is not an empty directory; nothing was changed")]
    TargetExists {
        /// The target.
        path: PathBuf,
    },
    /// The target is within what is to be copied.
    #[error("{target} is inside {source_dir}; choose a place outside it; nothing was changed")]
    TargetInside {
        /// The target.
        target: PathBuf,
        /// What is to be copied.
        source_dir: PathBuf,
    },
    /// The target's volume is too small.
    #[error(
        "the volume of {path} has {free} free, and the copy needs {needed}; nothing was changed"
    )]
    NoRoom {
        /// The target.
        path: PathBuf,
        /// What is free there.
        free: ByteSize,
        /// What is needed.
        needed: ByteSize,
    },
    /// A backup is not what was written.
    #[error("{path} is damaged: {what}; nothing was restored")]
    DamagedBackup {
        /// The damaged file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The copy is not what was copied.
    #[error("the copy {path} does not read back as it was written; the disk of the copy is bad")]
    BadCopy {
        /// The file.
        path: PathBuf,
    },
    /// Segments come and go too fast.
    #[error("the segments in {path} changed each time they were listed; try again")]
    Unsteady {
        /// The data directory.
        path: PathBuf,
    },
}

impl OfflineError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        move |error| Self::Open(OpenError::io(action, path)(error))
    }
}
