//! Opening the task index and bringing it up to the segments.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::lost::Losses;
use super::sealed;

use crate::domain::{Epoch, Offset};
use crate::store::catalog::Segment;
use crate::store::format::{Cursors, FooterTasks, IndexAt};
use crate::store::open_error::OpenError;
use crate::store::task_index::{IndexError, SegmentRange, TaskIndex, with_footer};

/// The index in `dir`, brought up to `segments`, which are sealed and in order; `start` is where the
/// first of all segments begins. One that is damaged
/// or of another store is made anew; where its file cannot be written it is made in memory.
///
/// # Errors
/// When a footer cannot be read, or not even an index in memory can be made.
pub(super) fn open(
    dir: &Path,
    epoch: Epoch,
    segments: &[Arc<Segment>],
    start: Offset,
    losses: &mut Losses,
) -> Result<TaskIndex, OpenError> {
    let opened = TaskIndex::open(dir)
        .and_then(|index| Ok((start_of(&index, epoch, segments, start)?, index)));
    match opened {
        Ok((Some(from), index)) => match add(&index, epoch, segments, from, losses) {
            Ok(()) => return Ok(index),
            Err(error) => tracing::warn!(%error, "the task index cannot be brought up to date"),
        },
        Ok((None, _)) => tracing::info!("the task index does not fit the segments"),
        Err(error) => tracing::warn!(%error, "the task index cannot be opened"),
    }
    rebuild(dir, epoch, segments, losses)
}

/// The first of `segments` that the index lacks; `None` where it does not fit them.
fn start_of(
    index: &TaskIndex,
    epoch: Epoch,
    segments: &[Arc<Segment>],
    start: Offset,
) -> Result<Option<usize>, IndexError> {
    let Some(progress) = index.progress()? else {
        return Ok(index.is_empty()?.then_some(0));
    };
    if progress.epoch != epoch {
        return Ok(None);
    }
    let known = segments.partition_point(|segment| segment.base < progress.indexed_to);
    let fits = match known.checked_sub(1).and_then(|last| segments[last].sealed.get()) {
        Some(last) => {
            let is_same =
                last.sparse == IndexAt::UNREADABLE || last.sparse.crc == progress.last_crc;
            last.end_offset == progress.indexed_to && is_same
        }
        // Everything that the index knows of is gone.
        None => progress.indexed_to <= start,
    };
    Ok(fits.then_some(known))
}

fn rebuild(
    dir: &Path,
    epoch: Epoch,
    segments: &[Arc<Segment>],
    losses: &mut Losses,
) -> Result<TaskIndex, OpenError> {
    tracing::info!(segments = segments.len(), "making the task index anew");
    let made = TaskIndex::remove(dir)
        .map_err(IndexError::from)
        .and_then(|()| TaskIndex::open(dir))
        .and_then(|index| add(&index, epoch, segments, 0, losses).map(|()| index));
    let made = made.or_else(|error| {
        tracing::error!(%error, "the task index is kept in memory until the next start");
        let index = TaskIndex::in_memory()?;
        add(&index, epoch, segments, 0, losses).map(|()| index)
    });
    made.map_err(|error: IndexError| {
        OpenError::io("make the task index in", dir)(std::io::Error::other(error))
    })
}

/// Adds all segments from the index `from` on.
fn add(
    index: &TaskIndex,
    epoch: Epoch,
    segments: &[Arc<Segment>],
    from: usize,
    losses: &mut Losses,
) -> Result<(), IndexError> {
    for (at, segment) in segments.iter().enumerate().skip(from) {
        let added = with_footer(epoch, segment.base, &segment.path, |footer| {
            index.add_segment(epoch, footer.range(segment.base), footer.tasks())
        });
        let error = match added {
            Ok(added) => {
                added?;
                continue;
            }
            Err(error) => error,
        };
        if !error.is_damage() {
            return Err(IndexError::from(io::Error::other(error)));
        }
        let Some(sealed) = segment.sealed.get() else { continue };
        let (end, crc) = (sealed.end_offset, sealed.sparse.crc);
        let range = SegmentRange { base: segment.base, end, crc };
        let add = |tasks: &FooterTasks<'_>| index.add_segment(epoch, range, tasks);
        let added = sealed::with_chunks(epoch, &segments[..=at], index, losses, add);
        added.map_err(|error| IndexError::from(io::Error::other(error)))??;
    }
    Ok(())
}

/// How far sources were read, as the last of `segments` says; where its footer is damaged, the last one
/// that is sound and the chunks behind it.
///
/// # Errors
/// What the file system reports, and when the index cannot be read.
pub(super) fn cursors(
    epoch: Epoch,
    segments: &[Arc<Segment>],
    index: &TaskIndex,
    losses: &mut Losses,
) -> Result<Cursors, OpenError> {
    let mut damaged = Vec::new();
    let mut cursors = Cursors::default();
    for at in (0..segments.len()).rev() {
        let Segment { base, path, .. } = &*segments[at];
        match with_footer(epoch, *base, path, |footer| footer.cursors().clone()) {
            Ok(found) => {
                cursors = found;
                break;
            }
            Err(error) if error.is_damage() => damaged.push(at),
            Err(error) => return Err(OpenError::io("read", path)(io::Error::other(error))),
        }
    }
    for at in damaged.into_iter().rev() {
        let advance = |tasks: &FooterTasks<'_>| cursors.advance_all(&tasks.cursors);
        sealed::with_chunks(epoch, &segments[..=at], index, losses, advance)?;
    }
    Ok(cursors)
}
