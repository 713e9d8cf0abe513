//! Writes one spool file.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::directory::SpoolDir;
use super::error::SpoolError;
use super::record::{Closing, MAGIC, Origin, SpoolRecord, SpooledLine};
use super::tail::NewestLines;
use crate::client::push::{Line, TimedStatus, Undelivered};

/// How much is written at once.
const CHUNK_BYTES: usize = 256 << 10;

/// What is left free for the newest lines and the end: this part of the bound, and so much at most.
const RESERVED_PART: u64 = 8;
const MAX_RESERVED_BYTES: u64 = 1 << 20;

/// What became of the lines that were given to a spool.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct SpoolReport {
    /// The file, if there is one.
    pub path: Option<PathBuf>,
    /// How many lines are in it.
    pub lines: u64,
    /// Whether the worker's end is in it.
    pub has_end: bool,
    /// How many lines are not in it.
    pub lost: u64,
    /// Why writing failed, where it did.
    pub failure: Option<String>,
}

/// Writes one file, which it holds locked.
#[derive(Debug)]
pub struct SpoolWriter {
    dir: SpoolDir,
    path: PathBuf,
    file: File,
    /// Behind the last record that is whole: where the next one goes, also after a failed write.
    whole_bytes: u64,
    reserved_bytes: u64,
    next_seq: u64,
    lines: u64,
    newest: NewestLines,
    failure: Option<String>,
}

impl SpoolWriter {
    /// Makes a file with what a push had left.
    ///
    /// # Errors
    /// When there is no room for another file, or it cannot be written.
    pub fn create(
        dir: &SpoolDir,
        undelivered: Undelivered,
        ends_task: bool,
    ) -> Result<Self, SpoolError> {
        let Undelivered { producer, resumption, lines } = undelivered;
        let origin = Origin::of(&producer, &resumption, ends_task);
        let head = [MAGIC, &SpoolRecord::Begin(origin).encode()].concat();
        let reserved_bytes = (dir.limit_bytes() / RESERVED_PART).min(MAX_RESERVED_BYTES);
        let locked = dir.lock()?;
        let room = dir.room()?;
        if (head.len() as u64) + reserved_bytes > room {
            let limit = dir.limit_bytes();
            return Err(SpoolError::Full { used: limit - room, limit });
        }
        let (path, file) = dir.create(&resumption.session)?;
        if let Err(error) = file.write_all_at(&head, 0) {
            fs::remove_file(&path).ok();
            return Err(SpoolError::io(&path)(error));
        }
        drop(locked);
        let mut writer = Self {
            dir: dir.clone(),
            path,
            file,
            whole_bytes: head.len() as u64,
            reserved_bytes,
            next_seq: resumption.next_seq,
            lines: 0,
            newest: NewestLines::new(reserved_bytes),
            failure: None,
        };
        writer.append(lines);
        Ok(writer)
    }

    /// Takes lines that came after pushing had ended; they get the session's next numbers.
    pub fn append_late(&mut self, lines: Vec<Line>) {
        let first = self.next_seq;
        self.next_seq += lines.len() as u64;
        self.append((first..).zip(lines));
    }

    fn append(&mut self, lines: impl IntoIterator<Item = (u64, Line)>) {
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        for (seq, line) in lines {
            let record = SpoolRecord::Line(SpooledLine::of(seq, line)).encode();
            bytes += record.len();
            chunk.push(record);
            if bytes >= CHUNK_BYTES {
                self.write(std::mem::take(&mut chunk));
                bytes = 0;
            }
        }
        self.write(chunk);
    }

    /// Writes what fits; the rest, and all that follows it, waits for the end.
    fn write(&mut self, records: Vec<Vec<u8>>) {
        let written = if self.newest.is_unused() && !records.is_empty() {
            self.write_first(&records).unwrap_or_else(|error| self.fail(&error))
        } else {
            0
        };
        self.lines += written as u64;
        records.into_iter().skip(written).for_each(|record| self.newest.push(record));
    }

    /// Writes the first of `records`, as many as there is room for; returns their number.
    fn write_first(&mut self, records: &[Vec<u8>]) -> Result<usize, SpoolError> {
        let _locked = self.dir.lock()?;
        let room = self.dir.room()?.saturating_sub(self.reserved_bytes);
        let (mut chunk, mut count) = (Vec::new(), 0);
        for record in records {
            if (chunk.len() + record.len()) as u64 > room {
                break;
            }
            chunk.extend_from_slice(record);
            count += 1;
        }
        self.write_bytes(&chunk)?;
        Ok(count)
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        if let Err(error) = self.file.write_all_at(bytes, self.whole_bytes) {
            // What is there of it is no record.
            self.file.set_len(self.whole_bytes).ok();
            return Err(SpoolError::io(&self.path)(error));
        }
        self.whole_bytes += bytes.len() as u64;
        Ok(())
    }

    fn fail(&mut self, error: &SpoolError) -> usize {
        self.failure.get_or_insert_with(|| error.to_string());
        0
    }

    /// Writes the newest lines and `end`, and makes the file durable.
    pub fn finish(mut self, end: Option<&TimedStatus>) -> SpoolReport {
        let has_end = match self.close(end) {
            Ok(()) => end.is_some(),
            Err(error) => {
                self.fail(&error);
                false
            }
        };
        let lost = self.newest.lost();
        if self.lines == 0 && !has_end {
            fs::remove_file(&self.path).ok();
            return SpoolReport { lost, failure: self.failure, ..SpoolReport::default() };
        }
        let tidy = self.file.set_len(self.whole_bytes).and_then(|()| self.file.sync_all());
        let synced = tidy.map_err(SpoolError::io(&self.path));
        if let Err(error) = synced.and_then(|()| self.dir.sync()) {
            self.fail(&error);
        }
        let (path, lines, failure) = (Some(self.path), self.lines, self.failure);
        SpoolReport { path, lines, has_end, lost, failure }
    }

    /// Where the newest lines cannot be written the end alone may fit yet.
    fn close(&mut self, end: Option<&TimedStatus>) -> Result<(), SpoolError> {
        self.try_close(end).or_else(|error| {
            self.fail(&error);
            self.newest.shrink_to(0);
            self.try_close(end)
        })
    }

    fn try_close(&mut self, end: Option<&TimedStatus>) -> Result<(), SpoolError> {
        let closing = |lost| SpoolRecord::Close(Closing::of(end, lost)).encode();
        let _locked = self.dir.lock()?;
        // The larger the number, the longer the record.
        let room = self.dir.room()?.saturating_sub(closing(u64::MAX).len() as u64);
        self.newest.shrink_to(room);
        let bytes = [self.newest.bytes(), closing(self.newest.lost())].concat();
        self.write_bytes(&bytes)?;
        self.lines += self.newest.len();
        Ok(())
    }
}
