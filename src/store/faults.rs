//! The seam for tests: a disk that is held up, or that fails.
//!
//! A [`FaultyDisk`] stands before the real one and does as it is told:
//! ```
//! # use std::sync::Arc;
//! use otto_handler::store::{StoreOptions, faults::FaultyDisk};
//! let disk = Arc::new(FaultyDisk::default());
//! let options = StoreOptions { disk: disk.clone(), ..StoreOptions::new("data") };
//! disk.hold(); // from here on the committer waits before each write …
//! disk.release(); // … until here
//! disk.fail_sync(1); // the next fsync fails
//! ```

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::disk::{Disk, DiskFile, RealDisk};
use super::locks::unpoisoned;

/// The real disk, but writes can be held and made to fail. Clones share their state.
#[derive(Debug, Clone, Default)]
pub struct FaultyDisk(Arc<FaultState>);

#[derive(Debug, Default)]
struct FaultState {
    faults: Mutex<Faults>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Faults {
    held: bool,
    /// How many writes wait to be released.
    waiting: usize,
    writes: u64,
    syncs: u64,
    /// The number of the write that fails, and how many of its bytes are still written.
    failing_write: Option<(u64, usize)>,
    /// The number of the sync that fails.
    failing_sync: Option<u64>,
}

impl FaultyDisk {
    /// Holds every write from now on.
    pub fn hold(&self) {
        self.faults().held = true;
    }

    /// Lets held writes go on.
    pub fn release(&self) {
        self.faults().held = false;
        self.0.changed.notify_all();
    }

    /// Blocks until a write is held.
    pub fn wait_until_held(&self) {
        let faults = self.faults();
        let waiting = self.0.changed.wait_while(faults, |faults| faults.waiting == 0);
        drop(unpoisoned(waiting));
    }

    /// Makes the `nth` write from now fail, the next one being 1.
    pub fn fail_write(&self, nth: u64) {
        self.tear_write(nth, 0);
    }

    /// Makes the `nth` write from now fail after `bytes` bytes.
    pub fn tear_write(&self, nth: u64, bytes: usize) {
        let mut faults = self.faults();
        faults.failing_write = Some((faults.writes + nth, bytes));
    }

    /// Makes the `nth` sync from now fail, the next one being 1.
    pub fn fail_sync(&self, nth: u64) {
        let mut faults = self.faults();
        faults.failing_sync = Some(faults.syncs + nth);
    }

    /// How many writes were begun.
    pub fn writes(&self) -> u64 {
        self.faults().writes
    }

    /// How many syncs were begun.
    pub fn syncs(&self) -> u64 {
        self.faults().syncs
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        unpoisoned(self.0.faults.lock())
    }

    /// Waits while writes are held; the bytes to write before failing, if this one is to fail.
    fn before_write(&self) -> Option<usize> {
        let mut faults = self.faults();
        faults.writes += 1;
        let number = faults.writes;
        faults.waiting += 1;
        self.0.changed.notify_all();
        let mut faults = unpoisoned(self.0.changed.wait_while(faults, |faults| faults.held));
        faults.waiting -= 1;
        faults.failing_write.filter(|(failing, _)| *failing == number).map(|(_, bytes)| bytes)
    }

    fn before_sync(&self) -> io::Result<()> {
        let mut faults = self.faults();
        faults.syncs += 1;
        if faults.failing_sync == Some(faults.syncs) {
            return Err(io::Error::other("the disk was told to fail this sync"));
        }
        Ok(())
    }

    fn wrap(&self, inner: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(FaultyFile { disk: self.clone(), inner })
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        RealDisk.create(path).map(|file| self.wrap(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        RealDisk.open(path).map(|file| self.wrap(file))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_directory(path)
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    inner: Arc<dyn DiskFile>,
}

impl DiskFile for FaultyFile {
    fn write(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        match self.disk.before_write() {
            None => self.inner.write(bytes, position),
            Some(written) => {
                self.inner.write(&bytes[..written.min(bytes.len())], position)?;
                Err(io::Error::other("the disk was told to fail this write"))
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.before_sync()?;
        self.inner.sync()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.inner.truncate(bytes)
    }
}
