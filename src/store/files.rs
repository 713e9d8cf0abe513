//! Open segment files for reading; a bounded number of them.

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex};

use super::directory::Segment;
use super::unpoisoned;

/// How many segment files stay open for reading.
const MAX_OPEN_FILES: usize = 64;

/// Open files by their segment's base, the one used last at the end.
#[derive(Debug, Default)]
pub(super) struct Files(Mutex<Vec<(u64, Arc<File>)>>);

impl Files {
    /// The segment's file.
    ///
    /// # Errors
    /// As the file system reports them; not found where retention removed it.
    pub(super) fn get(&self, segment: &Segment) -> io::Result<Arc<File>> {
        let mut open = unpoisoned(self.0.lock());
        let found = open.iter().position(|(base, _)| *base == segment.base);
        let entry = match found {
            Some(at) => open.remove(at),
            None => (segment.base, Arc::new(File::open(&segment.path)?)),
        };
        if open.len() == MAX_OPEN_FILES {
            open.remove(0);
        }
        let file = entry.1.clone();
        open.push(entry);
        Ok(file)
    }

    /// Closes a segment's file once nobody reads it, so that its bytes are given back.
    pub(super) fn forget(&self, base: u64) {
        unpoisoned(self.0.lock()).retain(|(open, _)| *open != base);
    }
}
