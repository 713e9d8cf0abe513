//! The index's file, for the database: a write that finds the disk full waits.
//!
//! The database takes no more changes after a failed write. A full disk has lost nothing, though, so
//! the write is tried again here, on the indexer's thread, and the database never learns of it.
//! Readers see what was committed before.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use redb::StorageBackend;

use crate::store::locks::unpoisoned;
use crate::store::writing::PassingFault;

/// The wait before the second try; doubled each time, up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Whether writes wait, and what they wait for.
#[derive(Debug, Default)]
pub(super) struct Patience {
    state: Mutex<PatienceState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct PatienceState {
    /// Off while the index is opened: the store opens without waiting.
    is_on: bool,
    waits_for: Option<PassingFault>,
}

impl Patience {
    /// Lets writes wait from now on.
    pub(super) fn begin(&self) {
        self.lock().is_on = true;
    }

    /// Lets no write wait any more, also not one that does.
    pub(super) fn end(&self) {
        self.lock().is_on = false;
        self.changed.notify_all();
    }

    /// What a write waits for now.
    pub(super) fn waits_for(&self) -> Option<PassingFault> {
        self.lock().waits_for
    }

    /// Tries until it is done, fails for good, or nothing waits any more.
    fn until_done(&self, mut work: impl FnMut() -> io::Result<()>) -> io::Result<()> {
        let mut wait = FIRST_WAIT;
        loop {
            let Err(error) = work() else { return Ok(()) };
            let Some(fault) = PassingFault::of(&error) else { return Err(error) };
            let mut state = self.lock();
            state.waits_for = Some(fault);
            let waited = self.changed.wait_timeout_while(state, wait, |state| state.is_on);
            let (mut state, timeout) = unpoisoned(waited);
            state.waits_for = None;
            if !timeout.timed_out() {
                return Err(error);
            }
            wait = (2 * wait).min(LONGEST_WAIT);
        }
    }

    fn lock(&self) -> MutexGuard<'_, PatienceState> {
        unpoisoned(self.state.lock())
    }
}

/// The index's file, which its opener has locked.
#[derive(Debug)]
pub(super) struct IndexFile {
    file: File,
    patience: Arc<Patience>,
}

impl IndexFile {
    pub(super) fn new(file: File, patience: Arc<Patience>) -> Self {
        Self { file, patience }
    }
}

impl StorageBackend for IndexFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.patience.until_done(|| self.file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.patience.until_done(|| self.file.write_all_at(data, offset))
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    fn full() -> io::Error {
        io::Error::from_raw_os_error(Errno::NOSPC.raw_os_error())
    }

    #[test]
    fn a_write_that_finds_no_room_waits_and_is_done_once_there_is_some() {
        let patience = Patience::default();
        patience.begin();
        let mut tries = 0;
        let done = patience.until_done(|| {
            tries += 1;
            if tries < 3 { Err(full()) } else { Ok(()) }
        });
        assert!(done.is_ok());
        assert_eq!((tries, patience.waits_for()), (3, None));
    }

    #[test]
    fn a_write_that_waits_fails_once_nothing_is_to_wait() {
        let patience = Arc::new(Patience::default());
        patience.begin();
        let waiting = Arc::clone(&patience);
        let writer = std::thread::spawn(move || waiting.until_done(|| Err(full())));
        while patience.waits_for().is_none() {
            std::thread::yield_now();
        }
        patience.end();
        assert!(writer.join().unwrap().is_err());
    }

    #[test]
    fn while_the_index_is_opened_and_where_an_error_stays_nothing_waits() {
        let patience = Patience::default();
        assert!(patience.until_done(|| Err(full())).is_err());
        patience.begin();
        assert!(patience.until_done(|| Err(io::Error::other("it stays"))).is_err());
    }
}
