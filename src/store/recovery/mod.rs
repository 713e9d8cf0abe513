//! Opening: reads the footers of sealed segments and walks the last segment.
//!
//! A place in the last segment that holds no intact chunk is the torn tail of a commit that
//! nobody was told about, and is truncated. Unless a later chunk proves otherwise: commit N + 1 is
//! written only once commit N is durable, so an intact chunk of commit N + 1 or later behind a
//! damaged commit N means that kept entries were damaged, and the opening fails without
//! changing anything. Commits that were not synced prove nothing; behind the first damage they
//! are truncated with a warning that says what is lost.

mod walk;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::catalog::{Catalog, Segment};
use super::commit::ActiveSegment;
use super::disk::DiskFile;
use super::format::{
    ChecksumSeed, Cursors, FIRST_CHUNK, FilePosition, SEGMENT_HEADER_BYTES, ScanBuffer,
    SegmentHeader, TRAILER_BYTES, TaskRecord, Trailer, VERSION, base_in_name, read_footer_part,
    read_trailer, segment_path,
};
use super::open_error::OpenError;
use super::options::StoreOptions;
use crate::domain::{Epoch, Offset};
use walk::Walk;

/// A store as found.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) catalog: Catalog,
    pub(super) active: ActiveSegment,
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
    let Some((last, sealed)) = files.split_last() else {
        return recovery.begin_segment(Offset::FIRST);
    };
    for file in sealed {
        recovery.check_base(file)?;
        if !recovery.take_sealed(file)? {
            let trailer = file_bytes(&file.path)?.saturating_sub(TRAILER_BYTES as u64);
            let what = "the sealed segment has no footer";
            return Err(OpenError::damaged(&file.path, FilePosition(trailer), what));
        }
    }
    recovery.take_last(last)
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

/// A sealed segment's trailer and encoded task records.
struct FoundFooter {
    trailer: Trailer,
    records: Arc<[u8]>,
}

/// The footer of a segment; `None` where there is no trailer.
fn read_footer(path: &Path, seed: ChecksumSeed) -> Result<Option<FoundFooter>, OpenError> {
    let failed = OpenError::io("read", path);
    let file = File::open(path).map_err(OpenError::io("open", path))?;
    let trailer = read_trailer(&file, file_bytes(path)?, seed).map_err(&failed)?;
    let Some(trailer) = trailer else { return Ok(None) };
    let records = read_footer_part(&file, trailer.records).map_err(&failed)?;
    match records {
        Some(records) => Ok(Some(FoundFooter { trailer, records })),
        None => Err(records_damaged(path, &trailer)),
    }
}

fn records_damaged(path: &Path, trailer: &Trailer) -> OpenError {
    OpenError::damaged(path, trailer.records.position, "the footer's list of tasks is damaged")
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

    /// Takes a segment in by its footer; false where it has none.
    fn take_sealed(&mut self, file: &SegmentFile) -> Result<bool, OpenError> {
        let seed = ChecksumSeed::new(self.epoch, file.base);
        let Some(footer) = read_footer(&file.path, seed)? else { return Ok(false) };
        self.add_sealed(file, &footer)?;
        Ok(true)
    }

    fn add_sealed(&mut self, file: &SegmentFile, footer: &FoundFooter) -> Result<(), OpenError> {
        let FoundFooter { trailer, records } = footer;
        let damaged = || records_damaged(&file.path, trailer);
        let (records, cursors): (Vec<TaskRecord<'_>>, _) =
            postcard::take_from_bytes(records).map_err(|_| damaged())?;
        self.catalog.cursors = Cursors::decode(cursors).ok_or_else(damaged)?;
        let segment = Segment::new(file.base, file.path.clone());
        for record in &records {
            self.catalog.add_sealed_task(&segment, record).ok_or_else(damaged)?;
        }
        self.catalog.segments.push_back(segment.clone());
        self.catalog.tail = trailer.sealed.end_offset;
        self.expected = Some(trailer.sealed.end_offset);
        self.next_commit = trailer.last_commit + 1;
        segment.sealed.set(trailer.sealed).expect("the segment was made just now");
        Ok(())
    }

    /// Begins a segment where the last one ends.
    fn begin_segment(mut self, base: Offset) -> Result<Recovered, OpenError> {
        let path = segment_path(&self.options.dir, base);
        let active = ActiveSegment::create(self.options, self.epoch, base, self.next_commit)
            .map_err(OpenError::io("create", &path))?;
        self.catalog.tail = base;
        self.catalog.begin_segment(Segment::new(base, path), active.position);
        Ok(Recovered { catalog: self.catalog, active, next_commit: self.next_commit })
    }

    fn take_last(mut self, last: &SegmentFile) -> Result<Recovered, OpenError> {
        let SegmentFile { base, path } = last;
        self.check_base(last)?;
        if self.take_sealed_last(last)? {
            let next = self.catalog.tail;
            return self.begin_segment(next);
        }
        let file = File::open(path).map_err(OpenError::io("open", path))?;
        let end = FilePosition(file_bytes(path)?);
        let Some(header) = last_header(&file, path, end)? else {
            return self.begin_segment(*base);
        };
        if header.epoch != self.epoch || header.base != *base {
            let what = "the segment belongs to another store";
            return Err(OpenError::damaged(path, FilePosition(0), what));
        }
        self.catalog.tail = *base;
        self.catalog.begin_segment(Segment::new(*base, path.clone()), FIRST_CHUNK);
        let seed = ChecksumSeed::new(self.epoch, *base);
        let mut walk = Walk::new(path, &file, end, seed, &header, &mut self.catalog);
        walk.run()?;
        let next_commit = walk.next_commit;
        let position = walk.position;
        let (chunks, last_time) = (walk.chunks, walk.last_time);
        let file = self.truncate(path, position, end)?;
        let created = header.created;
        let active = ActiveSegment { file, seed, position, created, chunks, last_time };
        Ok(Recovered { catalog: self.catalog, active, next_commit })
    }

    /// Whether the last segment is sealed. A damaged footer counts as none there: it stands
    /// behind all chunks and is written anew.
    fn take_sealed_last(&mut self, last: &SegmentFile) -> Result<bool, OpenError> {
        match read_footer(&last.path, ChecksumSeed::new(self.epoch, last.base)) {
            Ok(Some(footer)) => self.add_sealed(last, &footer).map(|()| true),
            Ok(None) | Err(OpenError::Damaged { .. }) => Ok(false),
            Err(error) => Err(error),
        }
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
