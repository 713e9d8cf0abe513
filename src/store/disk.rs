//! The seam to the file system: what the committer does to segment files.
//!
//! Only changes go through it, so that tests can hold them up or make them fail
//! (see [`super::faults`]). Reads take files directly.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

/// How much a volume takes yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes that this process may still write.
    pub free_bytes: u64,
    /// Bytes of the whole volume.
    pub total_bytes: u64,
    /// How many files may still be made.
    pub free_files: u64,
}

/// Which file it is, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileState {
    /// The volume and the number of the file on it, by which it is known under any name.
    pub id: (u64, u64),
    /// Its length.
    pub bytes: u64,
}

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

    /// The file that has this name now.
    ///
    /// # Errors
    /// As the file system reports them.
    fn state(&self, path: &Path) -> io::Result<FileState>;

    /// How much the volume of `dir` takes yet.
    ///
    /// # Errors
    /// As the file system reports them.
    fn room(&self, dir: &Path) -> io::Result<Room>;
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

    /// The file itself, whatever its name has become.
    ///
    /// # Errors
    /// As the file system reports them.
    fn state(&self) -> io::Result<FileState>;
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

    fn state(&self, path: &Path) -> io::Result<FileState> {
        Ok(FileState::of(&fs::metadata(path)?))
    }

    fn room(&self, dir: &Path) -> io::Result<Room> {
        let volume = rustix::fs::statvfs(dir)?;
        // A file system without a table of files says 0 of 0.
        let has_table = volume.f_files > 0;
        Ok(Room {
            free_bytes: volume.f_bavail.saturating_mul(volume.f_frsize),
            total_bytes: volume.f_blocks.saturating_mul(volume.f_frsize),
            free_files: if has_table { volume.f_favail } else { u64::MAX },
        })
    }
}

impl FileState {
    fn of(metadata: &fs::Metadata) -> Self {
        Self { id: (metadata.dev(), metadata.ino()), bytes: metadata.len() }
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

    fn state(&self) -> io::Result<FileState> {
        Ok(FileState::of(&self.metadata()?))
    }
}
