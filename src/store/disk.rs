//! The seam to the file system: what the committer does to segment files.
//!
//! Only changes go through it, so that tests can hold them up or make them fail
//! (see [`super::faults`]). Reads take files directly.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// What the store does to its directory.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Makes an empty file, in place of one that is there.
    ///
    /// # Errors
    /// As the file system reports them.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file for changes.
    ///
    /// # Errors
    /// As the file system reports them.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Removes a file.
    ///
    /// # Errors
    /// As the file system reports them.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes created, renamed and removed names durable.
    ///
    /// # Errors
    /// As the file system reports them.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
}

/// What the store does to one segment file.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Writes all of `bytes` at `position`.
    ///
    /// # Errors
    /// As the file system reports them; some of the bytes may have been written then.
    fn write(&self, bytes: &[u8], position: u64) -> io::Result<()>;

    /// Makes what was written durable, as `fdatasync` does.
    ///
    /// # Errors
    /// As the file system reports them.
    fn sync(&self) -> io::Result<()>;

    /// Truncates the file to `bytes`.
    ///
    /// # Errors
    /// As the file system reports them.
    fn truncate(&self, bytes: u64) -> io::Result<()>;
}

/// The file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(File::create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OpenOptions::new().write(true).open(path)?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

impl DiskFile for File {
    fn write(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.write_all_at(bytes, position)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }
}
