//! A volume of limited size, to be filled and freed, bytes and inodes: a tmpfs, where one can be mounted.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Its size. Three quarters stay for the log before it is full without a filler.
const VOLUME_MIB: u32 = 96;

/// How many files it takes: retention keeps some tens of segments.
const VOLUME_FILES: u32 = 256;

/// A mounted tmpfs; unmounted when this is dropped.
#[derive(Debug)]
pub(crate) struct Volume {
    dir: PathBuf,
}

impl Volume {
    /// Mounts one on `dir`, which is made.
    ///
    /// # Errors
    /// What `mount` says; it needs root on Linux.
    pub(crate) fn mount(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let size = format!("size={VOLUME_MIB}m,nr_inodes={VOLUME_FILES}");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir).stdin(Stdio::null());
        let output = command.output()?;
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(io::Error::other(reason));
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// Takes all room there is.
    ///
    /// # Errors
    /// When the filler cannot be made.
    pub(crate) fn fill(&self) -> io::Result<()> {
        let mut filler = File::create(self.filler())?;
        let zeros = vec![0; 64 * 1024];
        // The write that finds no more room ends it.
        while filler.write_all(&zeros).is_ok() {}
        Ok(())
    }

    /// Gives it back.
    ///
    /// # Errors
    /// When the filler cannot be removed.
    pub(crate) fn free(&self) -> io::Result<()> {
        fs::remove_file(self.filler())
    }

    /// Takes all inodes there are.
    ///
    /// # Errors
    /// When the fillers' directory cannot be made.
    pub(crate) fn fill_inodes(&self) -> io::Result<()> {
        let fillers = self.fillers();
        fs::create_dir(&fillers)?;
        let taken = (0..VOLUME_FILES).map(|number| File::create(fillers.join(number.to_string())));
        // The file that finds no inode ends it.
        taken.take_while(Result::is_ok).for_each(drop);
        Ok(())
    }

    /// Gives them back.
    ///
    /// # Errors
    /// When a filler cannot be removed.
    pub(crate) fn free_inodes(&self) -> io::Result<()> {
        fs::remove_dir_all(self.fillers())
    }

    fn fillers(&self) -> PathBuf {
        self.dir.join("fillers")
    }

    fn filler(&self) -> PathBuf {
        self.dir.join("filler")
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open keeps it that long.
        Command::new("umount").arg("-l").arg(&self.dir).status().ok();
    }
}
