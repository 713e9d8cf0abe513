//! Why the index cannot be read or changed.

use crate::store::log::ReadError;

/// Why the index cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub(in crate::store) enum IndexError {
    /// The database refused.
    #[error("the task index failed: {0}")]
    Database(Box<redb::Error>),
    /// A row cannot be decoded.
    #[error("the task index has a damaged row of task {0:?}")]
    Damaged(String),
}

impl From<IndexError> for ReadError {
    fn from(error: IndexError) -> Self {
        Self::Failed(error.to_string().into())
    }
}

impl<E: Into<redb::Error>> From<E> for IndexError {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}
