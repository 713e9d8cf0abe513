//! The directory that a copy goes to.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use bytesize::ByteSize;

use super::error::OfflineError;
use crate::store::data_dir;
use crate::store::disk::{Disk, RealDisk};

/// A directory that is made for a copy. What was made goes when the copy fails.
#[derive(Debug)]
pub(super) struct TargetDir {
    path: PathBuf,
    /// What was made of the path: it and those above it that were missing.
    made: Option<PathBuf>,
    is_finished: bool,
}

impl TargetDir {
    /// Makes the directory `path`, or takes it where it is empty, for `needed` bytes from `source`.
    ///
    /// # Errors
    /// When it has something in it, is inside `source`, or has no room. Nothing was changed then.
    pub(super) fn make(path: &Path, source: &Path, needed: u64) -> Result<Self, OfflineError> {
        let is_there = path.symlink_metadata().is_ok();
        let is_empty = || fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        if is_there && !is_empty() {
            return Err(OfflineError::TargetExists { path: path.to_owned() });
        }
        let absolute = std::path::absolute(path).map_err(OfflineError::io("find", path))?;
        let existing = absolute.ancestors().find(|above| above.exists()).unwrap_or(Path::new("/"));
        check_outside(path, existing, source)?;
        check_room(path, existing, needed)?;
        let missing = absolute.ancestors().take_while(|above| !above.exists()).last();
        let made = missing.map(Path::to_owned);
        data_dir::create_durably(path).map_err(OfflineError::io("create", path))?;
        Ok(Self { path: path.to_owned(), made, is_finished: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file `name`, which is durable once this returns.
    ///
    /// # Errors
    /// As the file system reports them.
    pub(super) fn write_file<T>(
        &self,
        path: &Path,
        write: impl FnOnce(&mut BufWriter<&File>) -> Result<T, OfflineError>,
    ) -> Result<T, OfflineError> {
        let file = File::create_new(path).map_err(OfflineError::io("create", path))?;
        let mut out = BufWriter::with_capacity(1024 * 1024, &file);
        let written = write(&mut out)?;
        out.flush().map_err(OfflineError::io("write", path))?;
        drop(out);
        file.sync_all().map_err(OfflineError::io("sync", path))?;
        Ok(written)
    }

    /// Writes the file that names the copy, which is whole from then on.
    ///
    /// # Errors
    /// As the file system reports them.
    pub(super) fn finish(mut self, name: &Path, content: &[u8]) -> Result<(), OfflineError> {
        self.sync()?;
        self.write_file(name, |out| {
            out.write_all(content).map_err(OfflineError::io("write", name))
        })?;
        self.sync()?;
        self.is_finished = true;
        Ok(())
    }

    fn sync(&self) -> Result<(), OfflineError> {
        RealDisk.sync_directory(&self.path).map_err(OfflineError::io("sync", &self.path))
    }
}

impl Drop for TargetDir {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        let removed = match &self.made {
            Some(made) => fs::remove_dir_all(made),
            None => remove_content(&self.path),
        };
        if let Err(error) = removed {
            tracing::warn!(path = %self.path.display(), %error, "an unfinished copy stays there");
        }
    }
}

fn remove_content(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        fs::remove_file(entry?.path())?;
    }
    Ok(())
}

fn check_outside(target: &Path, existing: &Path, source: &Path) -> Result<(), OfflineError> {
    let real = |path: &Path| path.canonicalize().map_err(OfflineError::io("find", path));
    if real(existing)?.starts_with(real(source)?) {
        let (target, source_dir) = (target.to_owned(), source.to_owned());
        return Err(OfflineError::TargetInside { target, source_dir });
    }
    Ok(())
}

fn check_room(target: &Path, existing: &Path, needed: u64) -> Result<(), OfflineError> {
    let room = RealDisk.room(existing).map_err(OfflineError::io("look at", existing))?;
    if room.free_bytes < needed {
        let (free, needed) = (ByteSize(room.free_bytes), ByteSize(needed));
        return Err(OfflineError::NoRoom { path: target.to_owned(), free, needed });
    }
    Ok(())
}
