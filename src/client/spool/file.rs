//! A spool file that is to be sent: locked, and looked through before anything of it is sent.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::directory::SpoolDir;
use super::error::SpoolError;
use super::record::{Closing, Origin, RecordError, RecordReader, SpoolRecord, SpooledLine};
use crate::client::push::Producer;

/// A file that this process alone may send, until it is dropped.
#[derive(Debug)]
pub(super) struct SpoolFile {
    path: PathBuf,
    file: File,
    pub(super) content: SpoolContent,
}

/// What a file has.
#[derive(Debug)]
pub(super) struct SpoolContent {
    /// `None` where the file was cut off before its first record was whole.
    pub(super) origin: Option<(Origin, Producer)>,
    /// How many lines are whole.
    pub(super) lines: u64,
    /// `None` where the file was cut off.
    pub(super) closing: Option<Closing>,
    /// Up to where it is whole.
    whole_bytes: u64,
}

impl SpoolFile {
    /// Opens the file at `path`; `None` while another process writes or sends it, and when one has
    /// removed it.
    ///
    /// # Errors
    /// When it cannot be read, or is not what was written.
    pub(super) fn open(dir: &SpoolDir, path: &Path) -> Result<Option<Self>, SpoolError> {
        let Some(file) = locked(dir, path)? else { return Ok(None) };
        let content = content(&file, path)?;
        Ok(Some(Self { path: path.to_owned(), file, content }))
    }

    /// Gives each whole line to `take`, until it wants no more.
    ///
    /// # Errors
    /// When the file cannot be read any longer.
    pub(super) fn each_line(
        &self,
        mut take: impl FnMut(SpooledLine) -> bool,
    ) -> Result<(), SpoolError> {
        let length = self.content.whole_bytes;
        if length == 0 {
            return Ok(());
        }
        let mut input = &self.file;
        input.rewind().map_err(SpoolError::io(&self.path))?;
        let input = BufReader::new(input.take(length));
        let failed = |at| failure(&self.path, at);
        let mut records = RecordReader::new(input, length).map_err(failed(0))?;
        while let Some(record) = records.next().map_err(failed(records.position()))? {
            if let SpoolRecord::Line(line) = record
                && !take(line)
            {
                break;
            }
        }
        Ok(())
    }

    /// Removes it, and makes that durable.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(super) fn remove(self, dir: &SpoolDir) -> Result<(), SpoolError> {
        let _locked = dir.lock()?;
        fs::remove_file(&self.path).map_err(SpoolError::io(&self.path))?;
        dir.sync()
    }
}

fn locked(dir: &SpoolDir, path: &Path) -> Result<Option<File>, SpoolError> {
    let _locked = dir.lock()?;
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(SpoolError::io(path))?,
    };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(SpoolError::io(path)(error)),
        Ok(()) => {}
    }
    let is_there = file.metadata().map_err(SpoolError::io(path))?.nlink() > 0;
    Ok(is_there.then_some(file))
}

/// Looks through all of it.
fn content(file: &File, path: &Path) -> Result<SpoolContent, SpoolError> {
    let length = file.metadata().map_err(SpoolError::io(path))?.len();
    let mut content = SpoolContent { origin: None, lines: 0, closing: None, whole_bytes: 0 };
    let mut records = match RecordReader::new(BufReader::new(file), length) {
        Err(RecordError::Cut) => return Ok(content),
        records => records.map_err(failure(path, 0))?,
    };
    let mut last_seq = 0;
    loop {
        let at = records.position();
        content.whole_bytes = at;
        match records.next() {
            Ok(None) | Err(RecordError::Cut) => return Ok(content),
            Ok(Some(record)) => content
                .take(record, &mut last_seq)
                .map_err(|what| failure(path, at)(RecordError::Damaged(what)))?,
            Err(error) => return Err(failure(path, at)(error)),
        }
    }
}

impl SpoolContent {
    /// Takes the next record, if it may come here.
    fn take(&mut self, record: SpoolRecord, last_seq: &mut u64) -> Result<(), &'static str> {
        match record {
            _ if self.closing.is_some() => Err("something stands behind its end"),
            SpoolRecord::Begin(origin) if self.origin.is_none() => {
                let producer = origin.producer().map_err(|_| "its task or worker cannot be one")?;
                self.origin = Some((origin, producer));
                Ok(())
            }
            SpoolRecord::Line(line) if self.origin.is_some() && line.seq > *last_seq => {
                *last_seq = line.seq;
                self.lines += 1;
                Ok(())
            }
            SpoolRecord::Close(closing) if self.origin.is_some() => {
                self.closing = Some(closing);
                Ok(())
            }
            _ => Err("its records are out of order"),
        }
    }
}

fn failure(path: &Path, at: u64) -> impl FnOnce(RecordError) -> SpoolError {
    let path = path.to_owned();
    move |error| match error {
        RecordError::Io(source) => SpoolError::Io { path, source },
        RecordError::Damaged(what) => SpoolError::Damaged { path, at, what },
        RecordError::Cut => SpoolError::Damaged { path, at, what: "it became shorter" },
    }
}
