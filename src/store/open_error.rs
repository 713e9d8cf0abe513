//! Why a store does not open.

use std::io;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;

use super::format::FilePosition;

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The path is not a directory.
    #[error("the data directory {path} is not a directory")]
    NotADirectory {
        /// The data directory.
        path: PathBuf,
    },
    /// Another server has it open.
    #[error("the data directory {path} is in use by another server")]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// It was written by another version.
    #[error("{path} has format version {found}, this server knows version {known}")]
    Version {
        /// The file that says so.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version that this server writes.
        known: u32,
    },
    /// It is a copy to restore from.
    #[error(
        "{path} is a backup; make a data directory of it by `otto-handler restore {path} --to DIR`"
    )]
    Backup {
        /// The backup.
        path: PathBuf,
    },
    /// What was durable is damaged. Nothing was changed.
    #[error("{path} is damaged at byte {position}: {what}; nothing was changed")]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// Where the damage begins.
        position: u64,
        /// What is wrong there.
        what: String,
    },
    /// The volume is too small for what is to stay free. Nothing was changed.
    #[error("min-free-bytes is {min_free}, and the whole volume of {path} has {total}")]
    SmallVolume {
        /// The data directory.
        path: PathBuf,
        /// What is to stay free.
        min_free: ByteSize,
        /// What the volume has in all.
        total: ByteSize,
    },
    /// The volume is too small for what retention is to keep. Nothing was changed.
    #[error(
        "retention-bytes is {retention}, and the whole volume of {path} has {total}, of which \
         min-free-bytes keeps {min_free} free"
    )]
    LargeRetention {
        /// The data directory.
        path: PathBuf,
        /// What is to be kept.
        retention: ByteSize,
        /// What is to stay free.
        min_free: ByteSize,
        /// What the volume has in all.
        total: ByteSize,
    },
    /// The file system refused.
    #[error("cannot {action} {path}: {error}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The refusal. It is in the message, so it is no source, which would be told again.
        error: io::Error,
    },
}

impl OpenError {
    /// Turns a refusal of `action` on `path` into the error.
    pub(super) fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        move |error| Self::Io { action, path: path.to_owned(), error }
    }

    pub(super) fn damaged(path: &Path, position: FilePosition, what: &str) -> Self {
        Self::Damaged { path: path.to_owned(), position: position.0, what: what.to_owned() }
    }
}
