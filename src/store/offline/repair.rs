//! A directory with everything that is sound in a damaged one.
//!
//! Sound chunks are copied, with the offsets and line numbers that they had; footers are made anew. What is
//! lost stays told: offsets and line numbers have holes, and lost ranges are kept beside the segments.

use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::OfflineError;
use super::inspect::{inspect, scan_segment};
use super::scan::{TaskReports, entries_of, is_readable};
use super::source::{SourceDir, SourceSegment};
use super::target::TargetDir;
use crate::domain::Offset;
use crate::store::catalog::{Catalog, Segment};
use crate::store::data_dir;
use crate::store::format::{
    ChecksumSeed, FIRST_CHUNK, FilePosition, LastCommit, Millis, ScanBuffer, ScanItem,
    SegmentHeader, VERSION, reseed_chunk, segment_path,
};
use crate::store::open_error::OpenError;
use crate::store::recovery::{Losses, Walk};
use crate::store::task_index::{TaskIndex, with_footer};

/// How much is read at once.
const READ_AHEAD_BYTES: usize = 1024 * 1024;

/// What was copied, and what was not.
#[derive(Debug)]
pub struct RepairReport {
    /// How many segments the new directory has.
    pub segments: usize,
    /// Entries that can be read in it.
    pub entries: u64,
    /// Offsets of entries that are lost.
    pub lost: Vec<Range<u64>>,
}

/// Copies what is sound in `dir` to the new data directory `to`, which is the same store. `progress` is
/// told how many segments of how many are done.
///
/// # Errors
/// When `dir` cannot be read or `to` cannot be made; then nothing stays there.
pub fn repair(
    dir: &Path,
    to: &Path,
    progress: &dyn Fn(usize, usize),
) -> Result<RepairReport, OfflineError> {
    let source = SourceDir::open(dir)?;
    let bytes = source.segments.iter().map(|segment| segment.bytes).sum();
    let target = TargetDir::make(to, dir, bytes)?;
    let start = source.segments.first().map_or(Offset::FIRST, |first| first.base);
    let mut repair = Repair::new(&source, target.path(), start)?;
    for at in 0..source.segments.len() {
        repair.take(at, &target)?;
        progress(at + 1, source.segments.len());
    }
    let (tail, lost, segments) = (repair.tail, repair.lost, repair.segments.len());
    let _told = repair.losses.finish(target.path(), tail);
    let copy = inspect(target.path())?;
    if !copy.segments.iter().all(|segment| segment.damage.is_empty()) {
        return Err(OfflineError::BadCopy { path: target.path().to_owned() });
    }
    let entries = entries_of(&copy.segments);
    let name = data_dir::meta_path(target.path());
    target.finish(&name, data_dir::meta_text(source.epoch).as_bytes())?;
    Ok(RepairReport { segments, entries, lost })
}

/// The copy under way.
struct Repair<'a> {
    source: &'a SourceDir,
    dir: &'a Path,
    index: TaskIndex,
    losses: Losses,
    segments: Vec<Arc<Segment>>,
    /// The offset after what was taken.
    tail: Offset,
    last: LastCommit,
    lost: Vec<Range<u64>>,
}

impl<'a> Repair<'a> {
    fn new(source: &'a SourceDir, dir: &'a Path, start: Offset) -> Result<Self, OfflineError> {
        source.copy_lost(dir)?;
        let index = TaskIndex::in_memory().map_err(|error| index_failed(dir, error))?;
        let losses = Losses::of(source.lost.clone());
        let last = LastCommit { number: 0, time: Millis(0) };
        let (segments, lost) = (Vec::new(), Vec::new());
        Ok(Self { source, dir, index, losses, segments, tail: start, last, lost })
    }

    /// Copies the segment at index `at` of the source.
    fn take(&mut self, at: usize, target: &TargetDir) -> Result<(), OfflineError> {
        let segment = &self.source.segments[at];
        if segment.base > self.tail {
            self.stand_in(segment.base, target)?;
        }
        let trailer = segment.trailer(self.source.epoch)?;
        let scanned = scan_segment(self.source, at, &mut TaskReports::new())?;
        let data_end = match &trailer {
            Some(trailer) => trailer.sealed.data_end,
            None if scanned.report.sealed => FilePosition(segment.bytes),
            None => scanned.whole_end,
        };
        let (path, end) = self.copy_chunks(segment, data_end, target)?;
        // What a crash left behind the last whole commit may have been as many entries as bytes.
        let unfinished = Offset(self.tail.0 + scanned.report.unfinished_bytes);
        self.miss_up_to(trailer.as_ref().map_or(unfinished, |it| it.sealed.end_offset));
        self.seal(segment.base, path, end)
    }

    fn miss_up_to(&mut self, offset: Offset) {
        if self.tail < offset {
            self.lost.push(self.tail.0..offset.0);
            self.tail = offset;
        }
    }

    /// A segment without a chunk, in place of those that are missing up to `next`.
    fn stand_in(&mut self, next: Offset, target: &TargetDir) -> Result<(), OfflineError> {
        let base = self.tail;
        let path = segment_path(self.dir, base);
        let (first_commit, created) = (self.last.number + 1, self.last.time);
        let epoch = self.source.epoch;
        let header = SegmentHeader { version: VERSION, epoch, base, first_commit, created };
        target.write_file(&path, |out| {
            out.write_all(&header.encode()).map_err(OfflineError::io("write", &path))
        })?;
        self.miss_up_to(next);
        self.seal(base, path, FIRST_CHUNK)
    }

    /// Copies the sound chunks up to `end`; returns the file and where they end in it.
    fn copy_chunks(
        &mut self,
        segment: &SourceSegment,
        end: FilePosition,
        target: &TargetDir,
    ) -> Result<(PathBuf, FilePosition), OfflineError> {
        let path = segment_path(self.dir, segment.base);
        let seed = segment.seed(self.source.epoch);
        let failed = OfflineError::io("read", &segment.path);
        let mut buffer = ScanBuffer::new(&segment.file, end, READ_AHEAD_BYTES);
        let (mut from, mut to) = (FIRST_CHUNK, FIRST_CHUNK);
        let header = self.header(segment, &mut buffer, seed).map_err(&failed)?;
        target.write_file(&path, |out| {
            let mut put =
                |bytes: &[u8]| out.write_all(bytes).map_err(OfflineError::io("write", &path));
            put(&header.encode())?;
            while let Some((at, found)) = buffer.next_chunk(from, seed).map_err(&failed)? {
                from = at + found.bytes();
                let ScanItem::Chunk(_, bytes) = buffer.item(at, seed).map_err(&failed)? else {
                    continue;
                };
                if !is_readable(&found, bytes) || found.header.base < self.tail {
                    continue;
                }
                let mut chunk = bytes.to_vec();
                reseed_chunk(&mut chunk, seed, to);
                put(&chunk)?;
                to = to + chunk.len();
                self.miss_up_to(found.header.base);
                self.tail = self.tail.max(found.header.end());
                self.last = LastCommit { number: found.header.commit, time: found.header.time };
            }
            Ok(())
        })?;
        Ok((path, to))
    }

    /// The segment's header, made anew where it is damaged.
    fn header(
        &self,
        segment: &SourceSegment,
        buffer: &mut ScanBuffer<'_>,
        seed: ChecksumSeed,
    ) -> std::io::Result<SegmentHeader> {
        let sound = segment.header.filter(|header| header.epoch == self.source.epoch);
        if let Some(header) = sound {
            return Ok(header);
        }
        let first = buffer.next_chunk(FIRST_CHUNK, seed)?.map(|(_, found)| found.header);
        Ok(SegmentHeader {
            version: VERSION,
            epoch: self.source.epoch,
            base: segment.base,
            first_commit: first.map_or(self.last.number + 1, |header| header.commit),
            created: first.map_or(self.last.time, |header| header.time),
        })
    }

    /// Writes the footer of the copied segment, up to the tail, behind its chunks, which end at `end`.
    fn seal(&mut self, base: Offset, path: PathBuf, end: FilePosition) -> Result<(), OfflineError> {
        let epoch = self.source.epoch;
        let seed = ChecksumSeed::new(epoch, base);
        let segment = Segment::new(base, path);
        let path = segment.path.as_path();
        let file = File::open(path).map_err(OfflineError::io("open", path))?;
        let since = self.segments.last().map_or(base, |before| before.base);
        self.losses.begin(base, since);
        let mut catalog = Catalog::new();
        catalog.segments.extend(self.segments.iter().cloned());
        catalog.begin_segment(Arc::clone(&segment), FIRST_CHUNK);
        catalog.tail = base;
        let source = (path, &file, end);
        let (index, losses) = (&self.index, &mut self.losses);
        Walk::new(source, seed, (0, Millis(0)), &mut catalog, index, losses).run_sealed()?;
        if catalog.tail < self.tail {
            self.losses.add(catalog.tail, self.tail);
            catalog.tail = self.tail;
        }
        let footer = catalog.footer(seed, end, self.last);
        append(path, &footer.bytes)?;
        segment.sealed.set(footer.sealed).expect("the segment was made just now");
        let added = with_footer(epoch, base, path, |read| {
            self.index.add_segment(epoch, read.range(base), read.tasks())
        });
        let added = added.map_err(|_| OfflineError::BadCopy { path: path.to_owned() })?;
        added.map_err(|error| index_failed(self.dir, error))?;
        self.segments.push(segment);
        Ok(())
    }
}

fn append(path: &Path, bytes: &[u8]) -> Result<(), OfflineError> {
    let file = File::options().append(true).open(path);
    let mut file = file.map_err(OfflineError::io("open", path))?;
    file.write_all(bytes).map_err(OfflineError::io("write", path))?;
    file.sync_all().map_err(OfflineError::io("sync", path))
}

fn index_failed(dir: &Path, error: impl std::error::Error + Send + Sync + 'static) -> OfflineError {
    OpenError::io("make a task index for", dir)(std::io::Error::other(error)).into()
}
