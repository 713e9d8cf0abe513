//! Why a spool or one of its files cannot be used.

use std::io;
use std::path::{Path, PathBuf};

/// Why a spool or one of its files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The directory cannot be one.
    #[error("the spool is {path:?}: {rule}")]
    Directory {
        /// What was given.
        path: PathBuf,
        /// What is wrong with it.
        rule: String,
    },
    /// The bound is too small.
    #[error("the spool's bound is {bytes} bytes, the least is {least}")]
    TooSmall {
        /// What was given.
        bytes: u64,
        /// The least.
        least: u64,
    },
    /// The bound leaves no room for another file.
    #[error("the spool is full: its files have {used} bytes of {limit}")]
    Full {
        /// What is used, in bytes.
        used: u64,
        /// The bound.
        limit: u64,
    },
    /// Reading or writing failed.
    #[error("{path:?}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what was written.
    #[error("{path:?} is damaged at byte {at}: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the record begins that is wrong.
        at: u64,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl SpoolError {
    /// Makes an error of reading or writing at `path` one of these.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }
}
