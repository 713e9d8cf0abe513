//! Sealed segments whose footer cannot be read: what it said is made anew from the chunks, in memory.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::lost::Losses;
use super::walk::Walk;
use crate::domain::{Epoch, Offset};
use crate::store::catalog::{Catalog, Segment};
use crate::store::format::{
    ChecksumSeed, FIRST_CHUNK, FilePosition, FooterTasks, IndexAt, Millis, ScanBuffer,
    SealedSegment,
};
use crate::store::open_error::OpenError;
use crate::store::task_index::TaskIndex;

/// How much is read at once.
const READ_AHEAD_BYTES: usize = 1024 * 1024;

/// What the end of a segment's file said.
pub(super) struct Ending {
    pub(super) sealed: SealedSegment,
    pub(super) last_commit: Option<u64>,
}

/// The end of the segment that begins with `base`, as its chunks give it.
///
/// # Errors
/// What the file system reports.
pub(super) fn ending_from_chunks(
    path: &Path,
    base: Offset,
    epoch: Epoch,
) -> Result<Ending, OpenError> {
    let failed = OpenError::io("read", path);
    let file = File::open(path).map_err(OpenError::io("open", path))?;
    let metadata = file.metadata().map_err(&failed)?;
    let file_bytes = metadata.len();
    let seed = ChecksumSeed::new(epoch, base);
    let mut buffer = ScanBuffer::new(&file, FilePosition(file_bytes), READ_AHEAD_BYTES);
    let mut sealed = SealedSegment {
        data_end: FIRST_CHUNK,
        end_offset: base,
        file_bytes,
        // Where no chunk tells its time: what cannot be read must not go early for its age.
        last_time: changed_at(&metadata),
        sparse: IndexAt::UNREADABLE,
    };
    let mut last_commit = None;
    while let Some((at, found)) = buffer.next_chunk(sealed.data_end, seed).map_err(&failed)? {
        sealed.data_end = at + found.bytes();
        sealed.end_offset = sealed.end_offset.max(found.header.end());
        sealed.last_time = found.header.time;
        last_commit = Some(found.header.commit);
    }
    Ok(Ending { sealed, last_commit })
}

fn changed_at(metadata: &Metadata) -> Millis {
    let seconds = u64::try_from(metadata.mtime()).unwrap_or(0);
    Millis(seconds.saturating_mul(1000))
}

/// A segment that is missing: nothing of it can be read. The one before it had its last commit at `time`.
pub(super) fn missing(end: Offset, time: Millis) -> SealedSegment {
    SealedSegment {
        data_end: FIRST_CHUNK,
        end_offset: end,
        file_bytes: 0,
        last_time: time,
        sparse: IndexAt::UNREADABLE,
    }
}

/// Calls `use_it` with what the footer of the last of `segments` said of its tasks and of sources, made
/// anew from its chunks; the segments before it are known to `index`.
///
/// # Errors
/// What the file system reports, and when the index cannot be read.
pub(super) fn with_chunks<T>(
    epoch: Epoch,
    segments: &[Arc<Segment>],
    index: &TaskIndex,
    losses: &mut Losses,
    use_it: impl FnOnce(&FooterTasks<'_>) -> T,
) -> Result<T, OpenError> {
    let segment = segments.last().expect("there is the one that is asked for");
    let Ok(file) = File::open(&segment.path) else { return Ok(use_it(&FooterTasks::default())) };
    let since = segments.iter().rev().nth(1).map_or(segment.base, |before| before.base);
    losses.begin(segment.base, since);
    let mut catalog = Catalog::new();
    catalog.segments.extend(segments.iter().cloned());
    catalog.tail = segment.base;
    let sealed = segment.sealed.get();
    let end = sealed.map_or(FIRST_CHUNK, |sealed| sealed.data_end);
    let seed = ChecksumSeed::new(epoch, segment.base);
    let source = (segment.path.as_path(), &file, end);
    let mut walk = Walk::new(source, seed, (0, Millis(0)), &mut catalog, index, losses);
    walk.run_sealed()?;
    let (mut records, mut facts) = (Vec::new(), Vec::new());
    for (id, task) in catalog.tasks.iter().filter(|(_, task)| !task.chunks.is_empty()) {
        records.extend(task.record(id, segment, IndexAt::UNREADABLE));
        facts.extend(task.facts(id, segment));
    }
    Ok(use_it(&catalog.footer_tasks(segment.base, records, facts)))
}
