//! Looks at everything in a data directory or a backup.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::OfflineError;
use super::scan::{self, Scanned, SegmentReport, TaskReport, TaskReports};
use super::source::SourceDir;

/// How often a segment is read until it does not shrink meanwhile.
const MAX_SCANS: usize = 10;

/// What a data directory or a backup holds.
#[derive(Debug, Serialize)]
pub struct Inspection {
    /// The directory.
    pub path: PathBuf,
    /// The store's epoch, as in event ids.
    pub epoch: String,
    /// Whether a server has it open; absent where that cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_use: Option<bool>,
    /// What is wrong with META.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta_problem: Option<String>,
    /// The segments, oldest first.
    pub segments: Vec<SegmentReport>,
    /// Offsets of entries that were found to be lost before; readers are told.
    pub lost: Vec<Range<u64>>,
    /// Offsets between two segments that no segment has.
    pub missing: Vec<Range<u64>>,
    /// The tasks by their ids.
    pub tasks: BTreeMap<String, TaskReport>,
}

impl Inspection {
    /// Whether everything that was kept can be read.
    pub fn is_sound(&self) -> bool {
        let damaged = |segment: &SegmentReport| !segment.damage.is_empty();
        let is_whole = self.meta_problem.is_none() && self.missing.is_empty();
        is_whole && !self.segments.iter().any(damaged)
    }
}

/// Reads all that is in `dir`, and changes nothing.
///
/// # Errors
/// When it is no data directory, of another format version, or cannot be read.
pub fn inspect(dir: &Path) -> Result<Inspection, OfflineError> {
    let source = SourceDir::open(dir)?;
    let mut tasks = TaskReports::new();
    let mut segments = Vec::new();
    for at in 0..source.segments.len() {
        segments.push(scan_segment(&source, at, &mut tasks)?.report);
    }
    Ok(Inspection {
        path: dir.to_owned(),
        epoch: source.epoch.to_string(),
        in_use: source.is_in_use(),
        meta_problem: source.meta_problem,
        lost: source.lost.iter().map(|range| range.from.0..range.to.0 + 1).collect(),
        missing: scan::missing_between(&segments),
        segments,
        tasks: tasks.into_iter().collect(),
    })
}

/// Reads the segment at index `at` of `source`.
pub(super) fn scan_segment(
    source: &SourceDir,
    at: usize,
    tasks: &mut TaskReports,
) -> Result<Scanned, OfflineError> {
    let segment = &source.segments[at];
    let trailer = segment.trailer(source.epoch)?;
    let is_last = at + 1 == source.segments.len();
    let failed = OfflineError::io("read", &segment.path);
    for _ in 0..MAX_SCANS {
        let mut seen = TaskReports::new();
        match scan::scan(source, segment, trailer.as_ref(), is_last, &mut seen) {
            // The server took back a commit that failed.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            scanned => {
                merge(tasks, seen);
                return scanned.map_err(failed);
            }
        }
    }
    Err(OfflineError::Unsteady { path: segment.path.clone() })
}

fn merge(tasks: &mut TaskReports, seen: TaskReports) {
    for (id, report) in seen {
        let task = tasks.entry(id).or_insert_with(|| TaskReport {
            first_time: report.first_time,
            ..TaskReport::default()
        });
        task.entries += report.entries;
        task.lines += report.lines;
        task.last_time = report.last_time;
    }
}
