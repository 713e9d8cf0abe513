//! Opening: reads the ends of sealed segments, brings the task index up to them, and walks the last
//! segment.
//!
//! A place in the last segment that holds no intact chunk is the torn tail of a commit that
//! nobody was told about, and is truncated. Unless a later chunk proves otherwise: commit N + 1 is
//! written only once commit N is durable, so an intact chunk of commit N + 1 or later behind a
//! damaged commit N means that kept entries were damaged, and the opening fails without
//! changing anything. Commits that were not synced prove nothing; behind the first damage they
//! are truncated with a warning that says what is lost.

mod index;
mod walk;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::catalog::{Catalog, Segment};
use super::commit::{ActiveFile, ActiveSegment};
use super::disk::DiskFile;
use super::format::{
    ChecksumSeed, FIRST_CHUNK, FilePosition, SEGMENT_HEADER_BYTES, ScanBuffer, SegmentHeader,
    Trailer, VERSION, base_in_name, segment_path,
};
use super::open_error::OpenError;
use super::options::StoreOptions;
use super::task_index::{FooterError, TaskIndex, trailer, with_footer};
use super::writing::WriteError;
use crate::domain::{Epoch, Offset};
use walk::Walk;

/// A store as found.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) catalog: Catalog,
    pub(super) index: TaskIndex,
    pub(super) active: ActiveFile,
    pub(super) next_commit: u64,
}

/// A segment's file.
struct SegmentFile {
    base: Offset,
    path: PathBuf,
}

/// Reads what is in the data directory and makes the last segment ready for appending.
///
/// # Errors
/// Damage to what was durable, and what the file system reports.
pub(super) fn recover(options: &StoreOptions, epoch: Epoch) -> Result<Recovered, OpenError> {
    let files = segment_files(&options.dir)?;
    let mut recovery =
        Recovery { options, epoch, catalog: Catalog::new(), next_commit: 1, expected: None };
    let start = files.first().map_or(Offset::FIRST, |file| file.base);
    for (at, file) in files.iter().enumerate() {
        recovery.check_base(file)?;
        let is_last = at + 1 == files.len();
        match trailer(epoch, file.base, &file.path) {
            Ok(found) => recovery.add_sealed(file, &found),
            // The footer of the last segment is written anew.
            Err(FooterError::Missing { .. }) if is_last => {
                let index = recovery.open_index(start)?;
                return recovery.take_unsealed(file, index);
            }
            Err(error) => return Err(footer_error(error)),
        }
    }
    let index = recovery.open_index(start)?;
    let next = recovery.catalog.tail;
    recovery.begin_segment(next, index)
}

fn footer_error(error: FooterError) -> OpenError {
    match error {
        FooterError::Io { path, source } => OpenError::Io { action: "read", path, error: source },
        FooterError::Missing { path, position } => {
            OpenError::damaged(&path, position, "the sealed segment has no footer")
        }
        FooterError::Damaged { path, position } => {
            OpenError::damaged(&path, position, "the footer's list of tasks is damaged")
        }
    }
}

/// The segments in `dir`, oldest first.
fn segment_files(dir: &Path) -> Result<Vec<SegmentFile>, OpenError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(OpenError::io("list", dir))? {
        let entry = entry.map_err(OpenError::io("list", dir))?;
        let base = entry.file_name().to_str().and_then(base_in_name);
        files.extend(base.map(|base| SegmentFile { base, path: entry.path() }));
    }
    files.sort_unstable_by_key(|file| file.base);
    Ok(files)
}

fn file_bytes(path: &Path) -> Result<u64, OpenError> {
    Ok(fs::metadata(path).map_err(OpenError::io("look at", path))?.len())
}

struct Recovery<'a> {
    options: &'a StoreOptions,
    epoch: Epoch,
    catalog: Catalog,
    next_commit: u64,
    /// The base that the next segment must have.
    expected: Option<Offset>,
}

impl Recovery<'_> {
    fn check_base(&self, file: &SegmentFile) -> Result<(), OpenError> {
        match self.expected {
            Some(expected) if expected != file.base => Err(OpenError::MissingSegment {
                missing: segment_path(&self.options.dir, expected),
                found: file.path.clone(),
            }),
            _ => Ok(()),
        }
    }

    fn add_sealed(&mut self, file: &SegmentFile, trailer: &Trailer) {
        let segment = Segment::new(file.base, file.path.clone());
        segment.sealed.set(trailer.sealed).expect("the segment was made just now");
        self.catalog.segments.push_back(segment);
        self.catalog.tail = trailer.sealed.end_offset;
        self.expected = Some(trailer.sealed.end_offset);
        self.next_commit = trailer.last_commit + 1;
    }

    /// The index, brought up to the sealed segments; and the cursors of the last of them.
    fn open_index(&mut self, start: Offset) -> Result<TaskIndex, OpenError> {
        let segments = self.catalog.segments.make_contiguous();
        if let Some(last) = segments.last() {
            let cursors =
                with_footer(self.epoch, last.base, &last.path, |footer| footer.cursors().clone());
            self.catalog.cursors = cursors.map_err(footer_error)?;
        }
        index::open(&self.options.dir, self.epoch, segments, start)
    }

    /// Begins a segment where the last one ends.
    fn begin_segment(mut self, base: Offset, index: TaskIndex) -> Result<Recovered, OpenError> {
        let path = segment_path(&self.options.dir, base);
        let made = ActiveSegment::create(self.options, self.epoch, base, self.next_commit);
        let active = match made {
            Ok(active) => ActiveFile::Open(active),
            // Readers need no room; the committer makes the file once there is some.
            Err(WriteError::Passing(_)) => ActiveFile::Missing { base },
            Err(WriteError::Lasting(error)) => return Err(OpenError::io("create", &path)(error)),
        };
        self.catalog.tail = base;
        self.catalog.begin_segment(Segment::new(base, path), FIRST_CHUNK);
        let next_commit = self.next_commit;
        Ok(Recovered { catalog: self.catalog, index, active, next_commit })
    }

    fn take_unsealed(
        mut self,
        last: &SegmentFile,
        index: TaskIndex,
    ) -> Result<Recovered, OpenError> {
        let SegmentFile { base, path } = last;
        let file = File::open(path).map_err(OpenError::io("open", path))?;
        let end = FilePosition(file_bytes(path)?);
        let Some(header) = last_header(&file, path, end)? else {
            return self.begin_segment(*base, index);
        };
        if header.epoch != self.epoch || header.base != *base {
            let what = "the segment belongs to another store";
            return Err(OpenError::damaged(path, FilePosition(0), what));
        }
        self.catalog.tail = *base;
        self.catalog.begin_segment(Segment::new(*base, path.clone()), FIRST_CHUNK);
        let seed = ChecksumSeed::new(self.epoch, *base);
        let mut walk = Walk::new(path, &file, end, seed, &header, &mut self.catalog, &index);
        walk.run()?;
        let next_commit = walk.next_commit;
        let position = walk.position;
        let (chunks, last_time) = (walk.chunks, walk.last_time);
        let file = self.truncate(path, position, end)?;
        let created = header.created;
        let (base, is_torn) = (*base, false);
        let active =
            ActiveSegment { file, base, seed, position, created, chunks, last_time, is_torn };
        let active = ActiveFile::Open(active);
        Ok(Recovered { catalog: self.catalog, index, active, next_commit })
    }

    /// Truncates the segment's file to `position`, and makes durable what it keeps.
    fn truncate(
        &self,
        path: &Path,
        position: FilePosition,
        end: FilePosition,
    ) -> Result<Arc<dyn DiskFile>, OpenError> {
        let file = self.options.disk.open(path);
        let file = file.map_err(OpenError::io("open for writing", path))?;
        if position < end {
            file.truncate(position.0).map_err(OpenError::io("truncate", path))?;
        }
        file.sync().map_err(OpenError::io("sync", path))?;
        Ok(file)
    }
}

/// The header of the last segment; `None` where its creation was interrupted.
fn last_header(
    file: &File,
    path: &Path,
    end: FilePosition,
) -> Result<Option<SegmentHeader>, OpenError> {
    let mut buffer = ScanBuffer::new(file, end, 0);
    let head = buffer.bytes(FilePosition(0), SEGMENT_HEADER_BYTES);
    match SegmentHeader::decode(head.map_err(OpenError::io("read", path))?) {
        Some(header) if header.version != VERSION => {
            Err(OpenError::Version { path: path.to_owned(), found: header.version, known: VERSION })
        }
        None if end > FIRST_CHUNK => {
            Err(OpenError::damaged(path, FilePosition(0), "the segment's header is damaged"))
        }
        header => Ok(header),
    }
}
