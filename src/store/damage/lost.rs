//! Entries of which nobody can say whose they were, because the chunk that says so is not sound.
//!
//! Every reader of all tasks gets a gap for them. A reader of one task gets it where the task had entries
//! shortly before, and no chunk that was written before the loss proves that it had none in between.
//!
//! Each range is kept as a file beside the segments, `<segment>.<from>-<to>.<reason>`, with the bytes that
//! were cut off, where some were. It goes after its segment.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::domain::{Gap, Offset};
use crate::store::format::{base_in_name, segment_path};

/// The reasons that a gap may give.
const REASONS: [&str; 2] = ["crash", "damage"];

/// Entries of which nobody can say whose they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct LostRange {
    /// The segment that they stood in.
    pub(in crate::store) segment: Offset,
    /// The first of them.
    pub(in crate::store) from: Offset,
    /// The last of them.
    pub(in crate::store) to: Offset,
    pub(in crate::store) reason: &'static str,
    /// Only tasks that had an entry at or after this one are in doubt.
    pub(in crate::store) since: Offset,
    /// Chunks before this one were written before the loss: what they say of the entry before them holds.
    pub(in crate::store) known_from: Offset,
}

impl LostRange {
    /// The gap that a reader of one task gets who is at `next`, of a task whose last entry before it is
    /// `previous` and whose next chunk begins at `base`, if it has one; `None` where there is no doubt.
    pub(in crate::store) fn doubt(
        &self,
        previous: Offset,
        next: Offset,
        base: Option<Offset>,
    ) -> Option<Gap> {
        let had_entries = (self.since..self.from).contains(&previous);
        let is_ahead = next <= self.to;
        let is_passed = base.is_none_or(|base| base > self.to && base >= self.known_from);
        let from = next.max(self.from);
        let gap = Gap { from, to: self.to, lines: None, reason: self.reason };
        (had_entries && is_ahead && is_passed).then_some(gap)
    }

    /// The file that keeps it in `dir`.
    pub(in crate::store) fn path(&self, dir: &Path) -> PathBuf {
        let (from, to) = (self.from.0, self.to.0);
        let segment = segment_path(dir, self.segment).with_extension("");
        let name = segment.file_name().unwrap_or_default().to_string_lossy().into_owned();
        dir.join(format!("{name}.{from}-{to}.{}", self.reason))
    }

    /// Keeps it, with the bytes that stood there.
    ///
    /// # Errors
    /// As the file system reports them.
    pub(in crate::store) fn keep(&self, dir: &Path, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(dir);
        if path.exists() {
            return Ok(());
        }
        fs::write(&path, bytes)?;
        fs::File::open(&path)?.sync_all()?;
        fs::File::open(dir)?.sync_all()
    }
}

/// The ranges that were kept in `dir`, oldest first, without [`LostRange::since`].
///
/// # Errors
/// As the file system reports them.
pub(in crate::store) fn kept_ranges(dir: &Path) -> io::Result<Vec<LostRange>> {
    let mut ranges = Vec::new();
    for entry in fs::read_dir(dir)? {
        ranges.extend(entry?.file_name().to_str().and_then(range_in_name));
    }
    ranges.sort_unstable_by_key(|range| range.from);
    Ok(ranges)
}

/// Removes the records of segments that begin before `start`.
pub(in crate::store) fn remove_before(dir: &Path, ranges: &mut Vec<LostRange>, start: Offset) {
    ranges.retain(|range| {
        let is_gone = range.segment < start;
        if is_gone && let Err(error) = fs::remove_file(range.path(dir)) {
            tracing::warn!(%error, "cannot remove the record of lost entries of a deleted segment");
        }
        !is_gone
    });
}

fn range_in_name(name: &str) -> Option<LostRange> {
    let mut parts = name.split('.');
    let segment = base_in_name(&format!("{}.seg", parts.next()?))?;
    let (from, to) = parts.next()?.split_once('-')?;
    let reason = parts.next()?;
    let reason = REASONS.into_iter().find(|known| *known == reason)?;
    let (from, to) = (Offset(from.parse().ok()?), Offset(to.parse().ok()?));
    let range = LostRange { segment, from, to, reason, since: segment, known_from: to.next() };
    (parts.next().is_none() && from <= to).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range() -> LostRange {
        let (segment, since) = (Offset(5), Offset(5));
        let (from, to, known_from) = (Offset(10), Offset(12), Offset(30));
        LostRange { segment, from, to, reason: "damage", since, known_from }
    }

    #[test]
    fn a_range_is_found_again_by_its_name_and_goes_after_its_segment() {
        let dir = tempfile::tempdir().unwrap();
        let range = LostRange { known_from: Offset(13), ..range() };
        range.keep(dir.path(), b"bytes").unwrap();
        for name in ["00000000000000000005.seg", "TASKS", "00000000000000000005.9-1.damage"] {
            fs::write(dir.path().join(name), b"").unwrap();
        }
        let mut found = kept_ranges(dir.path()).unwrap();
        assert_eq!(found, [range]);
        remove_before(dir.path(), &mut found, Offset(5));
        assert_eq!(found.len(), 1);
        remove_before(dir.path(), &mut found, Offset(6));
        assert_eq!((found, kept_ranges(dir.path()).unwrap()), (vec![], vec![]));
    }

    #[test]
    fn only_tasks_with_entries_shortly_before_are_in_doubt_until_a_chunk_proves_otherwise() {
        let doubt = |previous, next, base: Option<u64>| {
            range().doubt(Offset(previous), Offset(next), base.map(Offset))
        };
        let gap = Some(Gap { from: Offset(10), to: Offset(12), lines: None, reason: "damage" });
        assert_eq!(doubt(9, 10, None), gap);
        assert_eq!(doubt(5, 6, Some(30)), gap, "that chunk was written after the loss");
        assert_eq!(doubt(9, 10, Some(29)), None, "that one was written before");
        assert_eq!(doubt(4, 5, None), None, "it ended long ago");
        assert_eq!(doubt(9, 13, None), None, "it was told");
        assert_eq!(doubt(20, 21, None), None, "it began later");
    }
}
