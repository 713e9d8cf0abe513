//! Open segment files for reading; a bounded number of them.

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex};

use crate::domain::Offset;
use crate::store::catalog::Segment;
use crate::store::locks::unpoisoned;

/// Open files.
#[derive(Debug)]
pub(in crate::store) struct OpenFiles {
    limit: usize,
    /// The one used last at the end.
    open: Mutex<Vec<OpenFile>>,
}

#[derive(Debug)]
struct OpenFile {
    /// Its segment's first offset.
    segment: Offset,
    file: Arc<File>,
}

impl OpenFiles {
    /// At most `limit` of them.
    pub(in crate::store) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), open: Mutex::default() }
    }

    /// The segment's file.
    ///
    /// # Errors
    /// As the file system reports them; not found where retention removed it.
    pub(super) fn get(&self, segment: &Segment) -> io::Result<Arc<File>> {
        let mut open = unpoisoned(self.open.lock());
        let known = open.iter().position(|known| known.segment == segment.base);
        let entry = match known {
            Some(at) => open.remove(at),
            None => OpenFile { segment: segment.base, file: Arc::new(File::open(&segment.path)?) },
        };
        if open.len() == self.limit {
            open.remove(0);
        }
        let file = entry.file.clone();
        open.push(entry);
        Ok(file)
    }

    /// Closes a segment's file once nobody reads it, so that its bytes are given back.
    pub(in crate::store) fn forget(&self, segment: Offset) {
        unpoisoned(self.open.lock()).retain(|known| known.segment != segment);
    }
}
