//! One committed chunk, as the catalog takes it in.

use crate::domain::{Block, Offset};
use crate::store::format::ChunkRef;

/// One committed chunk.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct CommittedChunk<'a> {
    pub(in crate::store) block: &'a Block,
    /// The task's entry before it.
    pub(in crate::store) previous: Option<Offset>,
    /// Where it stands; `None` where the store has no files.
    pub(in crate::store) location: Option<ChunkRef>,
}
