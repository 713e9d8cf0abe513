//! One segment, as the catalog knows it.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::domain::Offset;
use crate::store::format::SealedSegment;

/// One segment.
#[derive(Debug)]
pub(in crate::store) struct Segment {
    /// The offset that its first entry has, or would have.
    pub(in crate::store) base: Offset,
    /// Its file; empty where the store has no files.
    pub(in crate::store) path: PathBuf,
    /// Set once it takes no more entries.
    pub(in crate::store) sealed: OnceLock<SealedSegment>,
}

impl Segment {
    pub(in crate::store) fn new(base: Offset, path: PathBuf) -> Arc<Self> {
        Arc::new(Self { base, path, sealed: OnceLock::new() })
    }
}
