//! What recovery finds to be lost.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::domain::Offset;
use crate::store::damage::{Damage, LostRange, kept_ranges, remove_before};
use crate::store::format::FilePosition;
use crate::store::open_error::OpenError;

/// What recovery finds to be lost.
#[derive(Debug, Default)]
pub(in crate::store) struct Losses {
    damage: Damage,
    /// The segment that is read, and the one before it.
    segment: Offset,
    since: Offset,
    found: Vec<LostRange>,
}

impl Losses {
    /// The losses that were found before.
    pub(in crate::store) fn of(lost: Vec<LostRange>) -> Self {
        let mut losses = Self::default();
        losses.damage.lost = lost;
        losses
    }

    /// The losses that were found at earlier starts; `segments` are the first offsets of all segments.
    ///
    /// # Errors
    /// As the file system reports them.
    pub(in crate::store) fn known(dir: &Path, segments: &[Offset]) -> Result<Self, OpenError> {
        let mut lost = kept_ranges(dir).map_err(OpenError::io("list", dir))?;
        let start = segments.first().copied().unwrap_or(Offset::FIRST);
        remove_before(dir, &mut lost, start);
        for range in &mut lost {
            let before = segments.partition_point(|base| *base < range.segment);
            range.since = before.checked_sub(1).map_or(range.segment, |at| segments[at]);
        }
        Ok(Self::of(lost))
    }

    /// What follows is about the segment that begins with `segment`; `since` is the one before it.
    pub(in crate::store) fn begin(&mut self, segment: Offset, since: Offset) {
        (self.segment, self.since) = (segment, since);
    }

    pub(in crate::store) fn note(&self, path: &Path, position: FilePosition, what: &str) {
        self.damage.note(path, position, what);
    }

    /// Notes that the entries from `from` on, before `to`, are lost.
    pub(in crate::store) fn add(&mut self, from: Offset, to: Offset) {
        self.found.push(self.range(from, to, "damage"));
    }

    fn range(&self, from: Offset, to: Offset, reason: &'static str) -> LostRange {
        let last = Offset(to.0 - 1);
        let Self { segment, since, .. } = *self;
        LostRange { segment, from, to: last, reason, since, known_from: to }
    }

    /// Sets aside what `file` has from `position` on, before it is cut off. It may have been entries up
    /// to `to`.
    ///
    /// # Errors
    /// As the file system reports them.
    pub(in crate::store) fn set_aside(
        &mut self,
        dir: &Path,
        (file, position, end): (&File, FilePosition, FilePosition),
        from: Offset,
        to: Offset,
    ) -> io::Result<()> {
        let mut bytes = vec![0; end - position];
        file.read_exact_at(&mut bytes, position.0)?;
        let range = self.range(from, to, "crash");
        range.keep(dir, &bytes)?;
        tracing::warn!(
            segment = range.segment.0,
            position = position.0,
            from = from.0,
            to = range.to.0,
            "cut off a commit that is not whole; its bytes are set aside, a gap tells readers"
        );
        self.damage.lost.push(range);
        Ok(())
    }

    /// Keeps what was found, now that `tail` is known: chunks before it were written before.
    pub(in crate::store) fn finish(mut self, dir: &Path, tail: Offset) -> Damage {
        for mut range in self.found {
            let is_known = |known: &LostRange| known.from <= range.from && range.to <= known.to;
            if self.damage.lost.iter().any(is_known) {
                continue;
            }
            range.known_from = tail;
            let name = format!("entries {} to {}", range.from.0, range.to.0);
            self.damage.note(dir, FilePosition(range.from.0), &name);
            if let Err(error) = range.keep(dir, b"") {
                tracing::warn!(%error, "cannot keep that entries are lost");
            }
            self.damage.lost.push(range);
        }
        self.damage.lost.sort_unstable_by_key(|range| range.from);
        self.damage
    }
}
