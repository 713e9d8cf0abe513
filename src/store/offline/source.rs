//! The files of a data directory or of a backup, opened for reading.
//!
//! All segments are opened before the first is read: what retention removes meanwhile is read to its end. That
//! takes a descriptor each.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::OfflineError;
use super::manifest::Manifest;
use crate::domain::{Epoch, Offset};
use crate::store::damage::{LostRange, kept_ranges};
use crate::store::data_dir;
use crate::store::format::{
    ChecksumSeed, FilePosition, SEGMENT_HEADER_BYTES, ScanBuffer, SegmentHeader, Trailer, VERSION,
    read_trailer, segment_path,
};
use crate::store::open_error::OpenError;

/// How often the segments are listed until none vanished in between.
const MAX_LISTINGS: usize = 10;

/// A data directory, or a backup, with its segments open.
#[derive(Debug)]
pub(super) struct SourceDir {
    pub(super) path: PathBuf,
    pub(super) epoch: Epoch,
    /// What is wrong with META, where something is.
    pub(super) meta_problem: Option<String>,
    /// What was found to be lost before.
    pub(super) lost: Vec<LostRange>,
    /// Oldest first.
    pub(super) segments: Vec<SourceSegment>,
}

/// A segment's file.
#[derive(Debug)]
pub(super) struct SourceSegment {
    pub(super) base: Offset,
    pub(super) path: PathBuf,
    pub(super) file: File,
    /// Its length when it was opened.
    pub(super) bytes: u64,
    /// `None` where it is damaged or not yet whole.
    pub(super) header: Option<SegmentHeader>,
}

impl SourceDir {
    /// Opens the data directory or the backup `path`.
    ///
    /// # Errors
    /// When it is neither, or of another format version, and what the file system reports.
    pub(super) fn open(path: &Path) -> Result<Self, OfflineError> {
        // Before the segments: retention removes a range's record after its segment.
        let mut lost = kept_ranges(path).map_err(OfflineError::io("list", path))?;
        let segments = open_segments(path)?;
        let start = segments.first().map_or(Offset::FIRST, |first| first.base);
        lost.retain(|range| range.segment >= start);
        let (epoch, meta_problem) = match epoch_of(path) {
            Ok(Some(epoch)) => (Some(epoch), None),
            Ok(None) => (None, Some("META is missing".to_owned())),
            Err(OpenError::Damaged { what, .. }) => {
                (None, Some(format!("META is damaged: {what}")))
            }
            Err(error) => return Err(error.into()),
        };
        let in_header = || segments.iter().find_map(|segment| segment.header);
        let Some(epoch) = epoch.or_else(|| in_header().map(|header| header.epoch)) else {
            return Err(OfflineError::NotAStore { path: path.to_owned() });
        };
        Ok(Self { path: path.to_owned(), epoch, meta_problem, lost, segments })
    }

    /// Whether it is known that the entries from `from` on, before `to`, are lost.
    pub(super) fn is_known_lost(&self, from: u64, to: u64) -> bool {
        self.lost.iter().any(|range| range.from.0 <= from && to <= range.to.0 + 1)
    }

    /// Copies the records of the lost ranges to `to`; returns the files' names.
    ///
    /// # Errors
    /// As the file system reports them.
    pub(super) fn copy_lost(&self, to: &Path) -> Result<Vec<String>, OfflineError> {
        let copy = |range: &LostRange| {
            let from = range.path(&self.path);
            let bytes = match fs::read(&from) {
                // The server removed it meanwhile. What counts is its name.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                read => read.map_err(OfflineError::io("read", &from))?,
            };
            range.keep(to, &bytes).map_err(OfflineError::io("write in", to))?;
            Ok(from.file_name().unwrap_or_default().to_string_lossy().into_owned())
        };
        self.lost.iter().map(copy).collect()
    }

    /// Whether a server has it open; `None` where this cannot be told.
    pub(super) fn is_in_use(&self) -> Option<bool> {
        let Ok(lock) = fs::metadata(data_dir::lock_path(&self.path)) else { return Some(false) };
        let locks = fs::read_to_string("/proc/locks").ok()?;
        let device = lock.dev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let id = format!(" {major:02x}:{minor:02x}:{} ", lock.ino());
        Some(locks.lines().any(|line| line.contains(&id)))
    }
}

impl SourceSegment {
    pub(super) fn seed(&self, epoch: Epoch) -> ChecksumSeed {
        ChecksumSeed::new(epoch, self.base)
    }

    /// The file's end, where it is sealed and its end is sound.
    ///
    /// # Errors
    /// As the file system reports them.
    pub(super) fn trailer(&self, epoch: Epoch) -> Result<Option<Trailer>, OfflineError> {
        let trailer = read_trailer(&self.file, self.bytes, self.seed(epoch));
        trailer.map_err(OfflineError::io("read", &self.path))
    }

    /// How long the file is; what was added after it was opened does not count.
    ///
    /// # Errors
    /// As the file system reports them.
    pub(super) fn bytes_now(&self) -> io::Result<u64> {
        // A commit that failed is taken back.
        Ok(self.file.metadata()?.len().min(self.bytes))
    }

    pub(super) fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }
}

/// The epoch of a backup or of a data directory; `None` where no file names it.
fn epoch_of(path: &Path) -> Result<Option<Epoch>, OpenError> {
    match Manifest::read(path) {
        Ok(Some(manifest)) => Ok(Some(manifest.epoch)),
        Ok(None) => data_dir::known_epoch(path),
        Err(error) => Err(error),
    }
}

fn open_segments(dir: &Path) -> Result<Vec<SourceSegment>, OfflineError> {
    for _ in 0..MAX_LISTINGS {
        if let Some(segments) = try_open_segments(dir)? {
            return Ok(segments);
        }
    }
    Err(OfflineError::Unsteady { path: dir.to_owned() })
}

/// `None` where one vanished after it was listed.
fn try_open_segments(dir: &Path) -> Result<Option<Vec<SourceSegment>>, OfflineError> {
    let mut segments: Vec<SourceSegment> = Vec::new();
    for base in data_dir::segment_bases(dir)? {
        let path = segment_path(dir, base);
        match File::open(&path) {
            Ok(file) => segments.push(opened(base, path, file)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OfflineError::io("open", &path)(error)),
        }
    }
    Ok(Some(segments))
}

fn opened(base: Offset, path: PathBuf, file: File) -> Result<SourceSegment, OfflineError> {
    let bytes = file.metadata().map_err(OfflineError::io("look at", &path))?.len();
    let mut head = ScanBuffer::new(&file, FilePosition(bytes), 0);
    let head = head.bytes(FilePosition(0), SEGMENT_HEADER_BYTES);
    let header = SegmentHeader::decode(head.map_err(OfflineError::io("read", &path))?);
    if let Some(SegmentHeader { version, .. }) = header.filter(|header| header.version != VERSION) {
        return Err(OpenError::Version { path, found: version, known: VERSION }.into());
    }
    let header = header.filter(|header| header.base == base);
    Ok(SourceSegment { base, path, file, bytes, header })
}
