//! Opening the task index and bringing it up to the segments.

use std::path::Path;
use std::sync::Arc;

use crate::domain::{Epoch, Offset};
use crate::store::catalog::Segment;
use crate::store::open_error::OpenError;
use crate::store::task_index::{IndexError, TaskIndex, with_footer};

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
) -> Result<TaskIndex, OpenError> {
    let opened = TaskIndex::open(dir)
        .and_then(|index| Ok((start_of(&index, epoch, segments, start)?, index)));
    match opened {
        Ok((Some(from), index)) => match add(&index, epoch, &segments[from..]) {
            Ok(()) => return Ok(index),
            Err(error) => tracing::warn!(%error, "the task index cannot be brought up to date"),
        },
        Ok((None, _)) => tracing::info!("the task index does not fit the segments"),
        Err(error) => tracing::warn!(%error, "the task index cannot be opened"),
    }
    rebuild(dir, epoch, segments)
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
            last.end_offset == progress.indexed_to && last.sparse.crc == progress.last_crc
        }
        // Everything that the index knows of is gone.
        None => progress.indexed_to <= start,
    };
    Ok(fits.then_some(known))
}

fn rebuild(dir: &Path, epoch: Epoch, segments: &[Arc<Segment>]) -> Result<TaskIndex, OpenError> {
    tracing::info!(segments = segments.len(), "making the task index anew");
    let made = TaskIndex::remove(dir)
        .map_err(IndexError::from)
        .and_then(|()| TaskIndex::open(dir))
        .and_then(|index| add(&index, epoch, segments).map(|()| index));
    let made = made.or_else(|error| {
        tracing::error!(%error, "the task index is kept in memory until the next start");
        let index = TaskIndex::in_memory()?;
        add(&index, epoch, segments).map(|()| index)
    });
    made.map_err(|error: IndexError| {
        OpenError::io("make the task index in", dir)(std::io::Error::other(error))
    })
}

fn add(index: &TaskIndex, epoch: Epoch, segments: &[Arc<Segment>]) -> Result<(), IndexError> {
    for segment in segments {
        with_footer(epoch, segment.base, &segment.path, |footer| {
            index.add_segment(epoch, footer.range(segment.base), footer.tasks())
        })
        .map_err(|error| IndexError::from(std::io::Error::other(error)))??;
    }
    Ok(())
}
