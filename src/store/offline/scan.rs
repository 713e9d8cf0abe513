//! Reading one segment from its beginning to its end, past whatever is damaged.

use std::collections::HashMap;
use std::io;
use std::ops::Range;

use serde::Serialize;

use super::source::{SourceDir, SourceSegment};
use crate::domain::{Offset, TaskId};
use crate::store::format::{
    ChecksumSeed, FIRST_CHUNK, FilePosition, FoundChunk, ScanBuffer, ScanItem, Trailer,
    decode_block, decode_index, decode_task, read_footer_part,
};
use crate::store::task_index::with_footer_of;

/// How much is read at once.
const READ_AHEAD_BYTES: usize = 1024 * 1024;

/// What is wrong at one place of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The first damaged byte.
    pub position: u64,
    /// How many bytes are damaged; 0 where something is missing there.
    pub bytes: u64,
    /// Offsets of the entries that are lost by it, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offsets: Option<Range<u64>>,
    /// What is wrong.
    pub what: String,
}

/// What a segment holds.
#[derive(Debug, Clone, Serialize)]
pub struct SegmentReport {
    /// The file's name.
    pub file: String,
    /// The offset of its first entry.
    pub base: u64,
    /// The offset after its last one.
    pub end: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Whether nothing more is written to it.
    pub sealed: bool,
    /// Chunks that can be read.
    pub chunks: u64,
    /// Entries that can be read: lines and statuses.
    pub entries: u64,
    /// Lines that can be read.
    pub lines: u64,
    /// When its first commit was made, in milliseconds since the Unix epoch; 0 where there is none.
    pub first_time: u64,
    /// When its last commit was made.
    pub last_time: u64,
    /// Bytes at its end of a commit that is not finished.
    pub unfinished_bytes: u64,
    /// What cannot be read.
    pub damage: Vec<Damage>,
}

/// What a data directory has of one task.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TaskReport {
    /// Entries that can be read.
    pub entries: u64,
    /// Lines that can be read.
    pub lines: u64,
    /// When its first commit was made, in milliseconds since the Unix epoch.
    pub first_time: u64,
    /// When its last one was made.
    pub last_time: u64,
}

/// All tasks that were seen, by their ids.
pub(super) type TaskReports = HashMap<String, TaskReport>;

/// What a scan found.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) report: SegmentReport,
    /// Where the last whole commit ends.
    pub(super) whole_end: FilePosition,
}

/// Reads all of `segment`. Only the `last` of a directory may end in an unfinished commit.
///
/// # Errors
/// As the file system reports them.
pub(super) fn scan(
    source: &SourceDir,
    segment: &SourceSegment,
    trailer: Option<&Trailer>,
    is_last: bool,
    tasks: &mut TaskReports,
) -> io::Result<Scanned> {
    let (bytes, epoch) = (segment.bytes_now()?, source.epoch);
    let end = trailer.map_or(bytes, |trailer| trailer.sealed.data_end.0.min(bytes));
    let end = FilePosition(end);
    let mut walk = Walk::new(segment, segment.seed(epoch), end);
    if segment.header.is_none_or(|header| header.epoch != epoch) && end > FIRST_CHUNK {
        walk.damage(FilePosition(0), FIRST_CHUNK, None, "the segment's header");
    }
    walk.run(tasks)?;
    match trailer {
        Some(trailer) => walk.end_sealed(source, segment, trailer)?,
        None if is_last => walk.end_unsealed(),
        None => walk.end_without_footer(),
    }
    let sealed = trailer.is_some() || !is_last;
    let report = SegmentReport { sealed, ..walk.report };
    Ok(Scanned { report, whole_end: walk.whole_end })
}

struct Walk<'a> {
    seed: ChecksumSeed,
    buffer: ScanBuffer<'a>,
    end: FilePosition,
    report: SegmentReport,
    /// The chunk that is expected next.
    commit: Option<u64>,
    index: u32,
    /// Whether all chunks of the current commit were read.
    is_whole: bool,
    whole_end: FilePosition,
}

/// A chunk that can be read.
struct SoundChunk {
    at: FilePosition,
    found: FoundChunk,
    /// Whose entries it has; `None` where it has none.
    task: Option<TaskId>,
}

impl<'a> Walk<'a> {
    fn new(segment: &'a SourceSegment, seed: ChecksumSeed, end: FilePosition) -> Self {
        let base = segment.base.0;
        let report = SegmentReport {
            file: segment.name(),
            base,
            end: base,
            bytes: segment.bytes,
            sealed: false,
            chunks: 0,
            entries: 0,
            lines: 0,
            first_time: 0,
            last_time: 0,
            unfinished_bytes: 0,
            damage: Vec::new(),
        };
        let buffer = ScanBuffer::new(&segment.file, end, READ_AHEAD_BYTES);
        let whole_end = FIRST_CHUNK.min(end);
        Self { seed, buffer, end, report, commit: None, index: 0, is_whole: false, whole_end }
    }

    fn run(&mut self, tasks: &mut TaskReports) -> io::Result<()> {
        let mut position = FIRST_CHUNK;
        while let Some(sound) = self.next_sound(position)? {
            if sound.at > position {
                self.is_whole = false;
                let lost = self.report.end..sound.found.header.base.0;
                let lost = (lost.start < lost.end).then_some(lost);
                self.damage(position, sound.at, lost, "not a sound chunk");
            }
            position = sound.at + sound.found.bytes();
            self.take(sound, tasks);
        }
        if position < self.end {
            self.damage(position, self.end, None, "not a sound chunk");
        }
        Ok(())
    }

    /// The first sound chunk from `position` on.
    fn next_sound(&mut self, position: FilePosition) -> io::Result<Option<SoundChunk>> {
        let mut from = Some(position);
        while let Some(at) = from {
            match self.buffer.item(at, self.seed)? {
                ScanItem::End => return Ok(None),
                ScanItem::Chunk(found, bytes) if is_readable(&found, bytes) => {
                    let task = decode_task(bytes, &found).filter(|_| found.header.count > 0);
                    return Ok(Some(SoundChunk { at, found, task }));
                }
                ScanItem::Chunk(..) | ScanItem::Damaged => {
                    from = self.buffer.find_magic(at + 1)?;
                }
            }
        }
        Ok(None)
    }

    /// Counts a sound chunk.
    fn take(&mut self, SoundChunk { at, found, task }: SoundChunk, tasks: &mut TaskReports) {
        let header = found.header;
        if let Some(task) = task {
            let task = tasks.entry(task.as_str().to_owned()).or_default();
            if task.entries == 0 {
                task.first_time = header.time.0;
            }
            task.entries += u64::from(header.count);
            task.lines += u64::from(header.lines);
            task.last_time = header.time.0;
        }
        let end = at + found.bytes();
        let report = &mut self.report;
        let (from, known) = (report.end, header.base.0);
        if report.first_time == 0 {
            report.first_time = header.time.0;
        }
        report.chunks += 1;
        report.entries += u64::from(header.count);
        report.lines += u64::from(header.lines);
        report.last_time = header.time.0;
        report.end = header.end().0.max(from);
        if known < from {
            let what = format!("entries from {known} on are there a second time");
            self.damage(at, end, None, &what);
        }
        self.follow_commit(&found, end);
    }

    fn follow_commit(&mut self, found: &FoundChunk, end: FilePosition) {
        let header = &found.header;
        if self.commit != Some(header.commit) {
            (self.commit, self.index, self.is_whole) = (Some(header.commit), 0, true);
        }
        self.is_whole &= header.index == self.index;
        self.index = header.index + 1;
        if self.is_whole && self.index == header.chunks_in_commit {
            self.whole_end = end;
        }
    }

    /// Compares with what the footer says, and looks at the footer itself.
    fn end_sealed(
        &mut self,
        source: &SourceDir,
        segment: &SourceSegment,
        trailer: &Trailer,
    ) -> io::Result<()> {
        let epoch = source.epoch;
        let (read, told) = (self.report.end, trailer.sealed.end_offset.0);
        if read < told && !source.is_known_lost(read, told) {
            self.damage(self.end, self.end, Some(read..told), "entries at the end are missing");
        }
        self.report.end = told.max(read);
        let sparse = trailer.sealed.sparse;
        let mut parts = vec![("the index in the log's order", sparse)];
        let named = with_footer_of(&segment.file, epoch, segment.base, &segment.path, |footer| {
            footer.tasks().records.iter().map(|record| record.index).collect::<Vec<_>>()
        });
        match named {
            Ok(indexes) => parts.extend(indexes.into_iter().map(|at| ("a task's index", at))),
            Err(_) => {
                let (at, bytes) = (trailer.records.position, trailer.records.bytes as usize);
                self.damage(at, at + bytes, None, "the footer's list of tasks");
            }
        }
        for (what, at) in parts {
            let part = read_footer_part(&segment.file, at)?;
            if part.is_none_or(|part| decode_index(&part).is_none()) {
                let what = format!("{what} in the footer");
                self.damage(at.position, at.position + at.bytes as usize, None, &what);
            }
        }
        Ok(())
    }

    /// A segment that is not the last was sealed once.
    fn end_without_footer(&mut self) {
        self.end_unsealed();
        self.report.unfinished_bytes = 0;
        self.damage(self.whole_end, self.end, None, "the footer is damaged or missing");
    }

    /// What stands behind the last whole commit was never acknowledged.
    fn end_unsealed(&mut self) {
        self.report.unfinished_bytes = self.end.0.saturating_sub(self.whole_end.0);
        let whole_end = self.whole_end.0;
        self.report.damage.retain(|damage| damage.position < whole_end);
    }

    fn damage(
        &mut self,
        from: FilePosition,
        to: FilePosition,
        offsets: Option<Range<u64>>,
        what: &str,
    ) {
        let (position, bytes) = (from.0, to.0.saturating_sub(from.0));
        self.report.damage.push(Damage { position, bytes, offsets, what: what.to_owned() });
    }
}

/// Whether the chunk's content can be read too: its checksum covers what is stored, not what that
/// unpacks to.
pub(super) fn is_readable(found: &FoundChunk, bytes: &[u8]) -> bool {
    found.header.count == 0 || decode_block(bytes, found).is_some()
}

/// The offsets between `segments` that none of them has.
pub(super) fn missing_between(segments: &[SegmentReport]) -> Vec<Range<u64>> {
    let pairs = segments.windows(2);
    pairs.map(|pair| pair[0].end..pair[1].base).filter(|range| range.start < range.end).collect()
}

/// Entries that can be read in `segments`.
pub(super) fn entries_of(segments: &[SegmentReport]) -> u64 {
    segments.iter().map(|segment| segment.entries).sum()
}

/// The end of what was read.
pub(super) fn end_of(segments: &[SegmentReport]) -> Offset {
    segments.last().map_or(Offset::FIRST, |last| Offset(last.end))
}
