//! The directory: its lock, its bound, and the names of its files.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::error::SpoolError;

/// The least that a spool may be bounded to, in bytes.
pub const MIN_BYTES: u64 = 64 << 10;

/// The file that is locked for moments.
const LOCK: &str = "lock";

const EXTENSION: &str = "spool";

/// How long to wait for the lock: whoever holds it does so for moments, unless it was stopped.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// The wait between two attempts at the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Logs may hold secrets: nobody else reads them.
const MODE: u32 = 0o600;

/// A directory of spool files.
#[derive(Debug, Clone)]
pub struct SpoolDir {
    path: PathBuf,
    limit_bytes: u64,
}

/// What is in the directory.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// By their names the oldest first.
    pub(super) spooled: Vec<PathBuf>,
    /// What is none of ours.
    pub(super) foreign: Vec<PathBuf>,
}

impl SpoolDir {
    /// Checks that files of `limit_bytes` together can be written to `path`.
    ///
    /// # Errors
    /// Says why they cannot.
    pub fn open(path: &Path, limit_bytes: u64) -> Result<Self, SpoolError> {
        if limit_bytes < MIN_BYTES {
            return Err(SpoolError::TooSmall { bytes: limit_bytes, least: MIN_BYTES });
        }
        let unusable = |rule: String| SpoolError::Directory { path: path.to_owned(), rule };
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(unusable("it must be a directory".into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(unusable("there is no such directory; it must be there".into()));
            }
            Err(error) => return Err(unusable(format!("it cannot be looked at: {error}"))),
        }
        let dir = Self { path: path.to_owned(), limit_bytes };
        let unwritable = |error| unusable(format!("it must be writable: {error}"));
        dir.open_lock().map_err(unwritable)?;
        tempfile::tempfile_in(path).map_err(unwritable)?;
        Ok(dir)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn open_lock(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(MODE);
        options.open(self.path.join(LOCK))
    }

    /// The lock, until it is dropped; waits for it for some seconds.
    pub(super) fn lock(&self) -> Result<File, SpoolError> {
        let path = self.path.join(LOCK);
        let file = self.open_lock().map_err(SpoolError::io(&path))?;
        let since = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if since.elapsed() < LOCK_PATIENCE => {
                    std::thread::sleep(LOCK_PAUSE);
                }
                Err(TryLockError::WouldBlock) => {
                    let held = io::Error::other("another process holds the lock");
                    return Err(SpoolError::io(&path)(held));
                }
                Err(TryLockError::Error(error)) => return Err(SpoolError::io(&path)(error)),
            }
        }
    }

    /// Makes the file of `session`, locked for the caller. The directory must be locked.
    pub(super) fn create(&self, session: &str) -> Result<(PathBuf, File), SpoolError> {
        let time = format!("{:.6}", Timestamp::now()).replace([':', '-'], "");
        let path = self.path.join(format!("{time}-{session}.{EXTENSION}"));
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(MODE).open(&path);
        let file = file.map_err(SpoolError::io(&path))?;
        file.lock().map_err(SpoolError::io(&path))?;
        Ok((path, file))
    }

    /// How many bytes the files may grow yet. The directory must be locked.
    pub(super) fn room(&self) -> Result<u64, SpoolError> {
        let mut used = 0;
        for path in self.list()?.spooled {
            // Another push may just have removed it.
            used += fs::metadata(path).map_or(0, |found| found.len());
        }
        Ok(self.limit_bytes.saturating_sub(used))
    }

    pub(super) fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    pub(super) fn list(&self) -> Result<Listing, SpoolError> {
        let mut listing = Listing::default();
        for entry in fs::read_dir(&self.path).map_err(SpoolError::io(&self.path))? {
            let path = entry.map_err(SpoolError::io(&self.path))?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) && path.is_file() {
                listing.spooled.push(path);
            } else if path.file_name().is_none_or(|name| name != LOCK) {
                listing.foreign.push(path);
            }
        }
        listing.spooled.sort();
        listing.foreign.sort();
        Ok(listing)
    }

    /// Makes the names of files durable, and that others are gone.
    pub(super) fn sync(&self) -> Result<(), SpoolError> {
        let synced = File::open(&self.path).and_then(|dir| dir.sync_all());
        synced.map_err(SpoolError::io(&self.path))
    }
}
