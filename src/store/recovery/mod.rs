//! Opening: reads the ends of sealed segments, brings the task index up to them, and walks the last
//! segment.
//!
//! What follows the last whole commit is cut off and set aside: it was torn by a crash, or damaged later,
//! which looks the same. Everything else stays where it is. Damage is passed over: what is sound behind it
//! is read, footers are made anew in memory, and gaps tell readers what is gone; see
//! `docs/adr/0013-damage.md`.

mod index;
mod lost;
mod sealed;
mod walk;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::catalog::{Catalog, Segment};
use super::commit::{ActiveFile, ActiveSegment};
use super::damage::Damage;
use super::data_dir;
use super::disk::DiskFile;
use super::format::{
    ChecksumSeed, FIRST_CHUNK, FilePosition, Millis, SEGMENT_HEADER_BYTES, ScanBuffer,
    SealedSegment, SegmentHeader, VERSION, segment_path,
};
use super::open_error::OpenError;
use super::options::StoreOptions;
use super::task_index::{FooterError, TaskIndex, trailer};
use super::writing::WriteError;
use crate::domain::{Epoch, Offset};
pub(super) use lost::Losses;
pub(super) use walk::Walk;

use sealed::{Ending, ending_from_chunks};
use walk::Tail;

/// A store as found.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) catalog: Catalog,
    pub(super) index: TaskIndex,
    pub(super) active: ActiveFile,
    pub(super) next_commit: u64,
    pub(super) damage: Damage,
}

/// A segment's file.
struct SegmentFile {
    base: Offset,
    path: PathBuf,
}

/// Reads what is in the data directory and makes the last segment ready for appending.
///
/// # Errors
/// Files of another store or version, and what the file system reports.
pub(super) fn recover(options: &StoreOptions, epoch: Epoch) -> Result<Recovered, OpenError> {
    let bases = data_dir::segment_bases(&options.dir)?;
    let start = bases.first().copied().unwrap_or(Offset::FIRST);
    let losses = Losses::known(&options.dir, &bases)?;
    let mut recovery = Recovery {
        options,
        epoch,
        catalog: Catalog::new().with_limit(options.task_bytes),
        next_commit: 1,
        expected: None,
        losses,
    };
    for (at, base) in bases.iter().copied().enumerate() {
        let file = &SegmentFile { base, path: segment_path(&options.dir, base) };
        recovery.fill_up_to(file)?;
        let is_last = at + 1 == bases.len();
        match trailer(epoch, file.base, &file.path) {
            Ok(found) => recovery.add_sealed(file, found.sealed, Some(found.last_commit)),
            // The footer of the last segment is written anew.
            Err(FooterError::Missing { .. }) if is_last => {
                let index = recovery.open_index(start)?;
                return recovery.take_unsealed(file, index);
            }
            Err(FooterError::Missing { position, .. } | FooterError::Damaged { position, .. }) => {
                recovery.losses.note(&file.path, position, "the footer");
                let Ending { sealed, last_commit } =
                    ending_from_chunks(&file.path, file.base, epoch)?;
                recovery.add_sealed(file, sealed, last_commit);
            }
            Err(FooterError::Io { path, source }) => {
                return Err(OpenError::io("read", &path)(source));
            }
        }
    }
    let index = recovery.open_index(start)?;
    let next = recovery.catalog.tail;
    recovery.begin_segment(next, index)
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
    losses: Losses,
}

impl Recovery<'_> {
    /// Where segments are missing before `file`, one takes their place of which nothing can be read.
    fn fill_up_to(&mut self, file: &SegmentFile) -> Result<(), OpenError> {
        let Some(expected) = self.expected.filter(|expected| *expected != file.base) else {
            return Ok(());
        };
        let path = segment_path(&self.options.dir, expected);
        if expected > file.base {
            let what = "it begins before the segment before it ends";
            return Err(OpenError::damaged(&file.path, FilePosition(0), what));
        }
        self.losses.note(&path, FilePosition(0), "the segment is missing");
        let time = self.catalog.newest_time().unwrap_or_default();
        self.add_sealed(
            &SegmentFile { base: expected, path },
            sealed::missing(file.base, time),
            None,
        );
        Ok(())
    }

    fn add_sealed(&mut self, file: &SegmentFile, sealed: SealedSegment, last_commit: Option<u64>) {
        let segment = Segment::new(file.base, file.path.clone());
        segment.sealed.set(sealed).expect("the segment was made just now");
        self.catalog.segments.push_back(segment);
        self.catalog.tail = sealed.end_offset;
        self.expected = Some(sealed.end_offset);
        self.next_commit = last_commit.map_or(self.next_commit, |last| last + 1);
    }

    /// The index, brought up to the sealed segments; and the cursors of the last of them.
    fn open_index(&mut self, start: Offset) -> Result<TaskIndex, OpenError> {
        let segments = self.catalog.segments.make_contiguous();
        let index = index::open(&self.options.dir, self.epoch, segments, start, &mut self.losses)?;
        self.catalog.cursors = index::cursors(self.epoch, segments, &index, &mut self.losses)?;
        Ok(index)
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
        Ok(self.finish(index, active, next_commit))
    }

    fn finish(self, index: TaskIndex, active: ActiveFile, next_commit: u64) -> Recovered {
        let damage = self.losses.finish(&self.options.dir, self.catalog.tail);
        Recovered { catalog: self.catalog, index, active, next_commit, damage }
    }

    fn take_unsealed(
        mut self,
        last: &SegmentFile,
        index: TaskIndex,
    ) -> Result<Recovered, OpenError> {
        let SegmentFile { base, path } = last;
        let file = File::open(path).map_err(OpenError::io("open", path))?;
        let end = FilePosition(file_bytes(path)?);
        if end < FIRST_CHUNK {
            return self.begin_segment(*base, index);
        }
        let (first_commit, created) = self.first_of(&file, last, end)?;
        let since = self.catalog.segments.back().map_or(*base, |before| before.base);
        self.losses.begin(*base, since);
        self.catalog.tail = *base;
        self.catalog.begin_segment(Segment::new(*base, path.clone()), FIRST_CHUNK);
        let seed = ChecksumSeed::new(self.epoch, *base);
        let (source, first) = ((path.as_path(), &file, end), (first_commit, created));
        let losses = &mut self.losses;
        let mut walk = Walk::new(source, seed, first, &mut self.catalog, &index, losses);
        let tail = walk.run_active()?;
        let next_commit = walk.next_commit().max(self.next_commit);
        let (position, chunks, last_time) = (walk.position, walk.chunks, walk.last_time);
        if let Some(Tail { end: to }) = tail {
            self.set_aside((&file, position, end), path, to);
        }
        self.catalog.active_end = position;
        let file = self.truncate(path, position, end)?;
        let (base, is_torn) = (*base, false);
        let active =
            ActiveSegment { file, base, seed, position, created, chunks, last_time, is_torn };
        Ok(self.finish(index, ActiveFile::Open(active), next_commit))
    }

    /// The number of the first commit of the last segment, and when it was created.
    fn first_of(
        &self,
        file: &File,
        last: &SegmentFile,
        end: FilePosition,
    ) -> Result<(u64, Millis), OpenError> {
        let SegmentFile { base, path } = last;
        let Some(header) = last_header(file, path, end)? else {
            self.losses.note(path, FilePosition(0), "the segment's header");
            return Ok((0, Millis::now()));
        };
        if header.epoch != self.epoch || header.base != *base {
            let what = "the segment belongs to another store";
            return Err(OpenError::damaged(path, FilePosition(0), what));
        }
        Ok((header.first_commit, header.created))
    }

    /// Keeps what is to be cut off; entries after it are numbered behind it.
    fn set_aside(&mut self, tail: (&File, FilePosition, FilePosition), path: &Path, to: Offset) {
        let from = self.catalog.tail;
        if to > from
            && let Err(error) = self.losses.set_aside(&self.options.dir, tail, from, to)
        {
            let file = path.display();
            tracing::error!(%error, %file, "cannot set aside what is cut off: it is gone");
        }
        self.catalog.tail = to;
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

/// The header of the last segment; `None` where it is damaged.
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
        header => Ok(header),
    }
}
