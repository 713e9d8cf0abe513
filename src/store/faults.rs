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

use super::disk::{Disk, DiskFile, FileState, RealDisk, Room};
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
    /// The number of the first write that fails, as every creation then and all that follows; and
    /// the system's number of the error.
    refusal: Option<(u64, i32)>,
    /// How many writes and creations were refused.
    refused: u64,
    /// Whether files cannot be truncated.
    refuses_truncation: bool,
    /// What is told of the volume, in place of the truth.
    room: Option<Room>,
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

    /// Makes every write that begins from now on fail after half of its bytes, and every creation,
    /// with the error that has this number in the system, until [`FaultyDisk::allow`].
    pub fn refuse(&self, errno: i32) {
        let mut faults = self.faults();
        faults.refusal = Some((faults.writes + 1, errno));
    }

    /// Lets writes, creations and truncations succeed again.
    pub fn allow(&self) {
        let mut faults = self.faults();
        (faults.refusal, faults.refuses_truncation) = (None, false);
    }

    /// Makes truncations fail for good, until [`FaultyDisk::allow`].
    pub fn refuse_truncation(&self) {
        self.faults().refuses_truncation = true;
    }

    /// Tells so much room on the volume from now on.
    pub fn set_room(&self, room: Room) {
        self.faults().room = Some(room);
    }

    /// Blocks until so many writes and creations were refused.
    pub fn wait_until_refused(&self, times: u64) {
        let faults = self.faults();
        let waiting = self.0.changed.wait_while(faults, |faults| faults.refused < times);
        drop(unpoisoned(waiting));
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

    /// Waits while writes are held; the write's number, and the bytes to write before failing, if
    /// this one is to fail.
    fn before_write(&self) -> (u64, Option<usize>) {
        let mut faults = self.faults();
        faults.writes += 1;
        let number = faults.writes;
        faults.waiting += 1;
        self.0.changed.notify_all();
        let mut faults = unpoisoned(self.0.changed.wait_while(faults, |faults| faults.held));
        faults.waiting -= 1;
        let failing = faults.failing_write.filter(|(failing, _)| *failing == number);
        (number, failing.map(|(_, bytes)| bytes))
    }

    /// The error with which a creation, or the write of this number, is refused.
    fn refusal(&self, write: Option<u64>) -> io::Result<()> {
        let mut faults = self.faults();
        match faults.refusal {
            Some((first, errno)) if write.is_none_or(|write| write >= first) => {
                faults.refused += 1;
                self.0.changed.notify_all();
                Err(io::Error::from_raw_os_error(errno))
            }
            _ => Ok(()),
        }
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
        self.refusal(None)?;
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

    fn state(&self, path: &Path) -> io::Result<FileState> {
        RealDisk.state(path)
    }

    fn room(&self, dir: &Path) -> io::Result<Room> {
        let told = self.faults().room;
        told.map_or_else(|| RealDisk.room(dir), Ok)
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    inner: Arc<dyn DiskFile>,
}

impl DiskFile for FaultyFile {
    fn write(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        let (number, failing) = self.disk.before_write();
        if let Some(written) = failing {
            self.inner.write(&bytes[..written.min(bytes.len())], position)?;
            return Err(io::Error::other("the disk was told to fail this write"));
        }
        if let Err(refusal) = self.disk.refusal(Some(number)) {
            self.inner.write(&bytes[..bytes.len() / 2], position)?;
            return Err(refusal);
        }
        self.inner.write(bytes, position)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.before_sync()?;
        self.inner.sync()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        if self.disk.faults().refuses_truncation {
            return Err(io::Error::other("the disk was told to refuse truncation"));
        }
        self.inner.truncate(bytes)
    }

    fn state(&self) -> io::Result<FileState> {
        self.inner.state()
    }
}
