//! Open segment files for reading; a bounded number of them.

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex};

use crate::domain::Offset;
use crate::store::catalog::Segment;
use crate::store::locks::unpoisoned;

/// How many segment files stay open for reading.
const MAX_OPEN_FILES: usize = 64;

/// Open files, the one used last at the end.
#[derive(Debug, Default)]
pub(in crate::store) struct OpenFiles(Mutex<Vec<OpenFile>>);

#[derive(Debug)]
struct OpenFile {
    /// Its segment's first offset.
    segment: Offset,
    file: Arc<File>,
}

impl OpenFiles {
    /// The segment's file.
    ///
    /// # Errors
    /// As the file system reports them; not found where retention removed it.
    pub(super) fn get(&self, segment: &Segment) -> io::Result<Arc<File>> {
        let mut open = unpoisoned(self.0.lock());
        let known = open.iter().position(|known| known.segment == segment.base);
        let entry = match known {
            Some(at) => open.remove(at),
            None => OpenFile { segment: segment.base, file: Arc::new(File::open(&segment.path)?) },
        };
        if open.len() == MAX_OPEN_FILES {
            open.remove(0);
        }
        let file = entry.file.clone();
        open.push(entry);
        Ok(file)
    }

    /// Closes a segment's file once nobody reads it, so that its bytes are given back.
    pub(in crate::store) fn forget(&self, segment: Offset) {
        unpoisoned(self.0.lock()).retain(|known| known.segment != segment);
    }
}
