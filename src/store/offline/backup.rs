//! A copy of a data directory, also while a server writes to it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::error::OfflineError;
use super::inspect::{inspect, scan_segment};
use super::manifest::{self, BackedUpSegment, Manifest};
use super::scan::{SegmentReport, TaskReports, end_of, entries_of};
use super::source::{SourceDir, SourceSegment};
use super::target::TargetDir;
use crate::domain::{Offset, now_ms};
use crate::store::format::{FIRST_CHUNK, segment_path};

/// How much is copied at once.
const COPY_BYTES: usize = 1024 * 1024;

/// What was copied.
#[derive(Debug)]
pub struct BackupReport {
    /// How many segments.
    pub segments: usize,
    /// Bytes of all files.
    pub bytes: u64,
    /// Entries that can be read in the copy.
    pub entries: u64,
    /// The offset after the last one.
    pub end: u64,
    /// Segments that were damaged already; they are copied as they are.
    pub damaged: Vec<String>,
}

/// Copies everything that is committed in `dir` to `to`, and reads the copy back. `progress` is told
/// how many bytes of how many are copied.
///
/// # Errors
/// When `dir` cannot be read, or `to` cannot be made or read back; then nothing stays there.
pub fn backup(
    dir: &Path,
    to: &Path,
    progress: &dyn Fn(u64, u64),
) -> Result<BackupReport, OfflineError> {
    let source = SourceDir::open(dir)?;
    let mut reports = Vec::new();
    let mut parts = Vec::new();
    for at in 0..source.segments.len() {
        let scanned = scan_segment(&source, at, &mut TaskReports::new())?;
        let SegmentReport { sealed, bytes, .. } = scanned.report;
        // Of the last one only what is committed.
        let bytes = if sealed { bytes } else { scanned.whole_end.0 };
        if bytes >= FIRST_CHUNK.0 {
            parts.push((&source.segments[at], bytes));
            reports.push(scanned.report);
        }
    }
    let total = parts.iter().map(|(_, bytes)| bytes).sum();
    let target = TargetDir::make(to, dir, total)?;
    let mut copied = 0;
    let mut segments = Vec::new();
    for (segment, bytes) in parts {
        segments.push(copy(segment, bytes, &target)?);
        copied += bytes;
        progress(copied, total);
    }
    let lost_ranges = source.copy_lost(target.path())?;
    let manifest = Manifest::new(source.epoch, now_ms(), segments, lost_ranges);
    check_copy(&target, &source, &manifest, &reports)?;
    let name = manifest::path(target.path());
    let count = manifest.segments.len();
    target.finish(&name, &manifest.encode())?;
    Ok(report(count, total, &reports))
}

fn report(segments: usize, bytes: u64, reports: &[SegmentReport]) -> BackupReport {
    let damaged = reports.iter().filter(|report| !report.damage.is_empty());
    BackupReport {
        segments,
        bytes,
        entries: entries_of(reports),
        end: end_of(reports).0,
        damaged: damaged.map(|report| report.file.clone()).collect(),
    }
}

fn copy(
    segment: &SourceSegment,
    bytes: u64,
    target: &TargetDir,
) -> Result<BackedUpSegment, OfflineError> {
    let path = segment_path(target.path(), segment.base);
    let crc = target.write_file(&path, |out| {
        let (mut at, mut crc) = (0, 0);
        let mut buffer = vec![0; COPY_BYTES];
        while at < bytes {
            let piece = usize::try_from(bytes - at).unwrap_or(COPY_BYTES).min(COPY_BYTES);
            let piece = &mut buffer[..piece];
            segment
                .file
                .read_exact_at(piece, at)
                .map_err(OfflineError::io("read", &segment.path))?;
            out.write_all(piece).map_err(OfflineError::io("write", &path))?;
            crc = crc32c::crc32c_append(crc, piece);
            at += piece.len() as u64;
        }
        Ok(crc)
    })?;
    Ok(BackedUpSegment { base: segment.base.0, bytes, crc })
}

/// Reads the copy back: its bytes, and what they mean.
fn check_copy(
    target: &TargetDir,
    source: &SourceDir,
    manifest: &Manifest,
    reports: &[SegmentReport],
) -> Result<(), OfflineError> {
    for segment in &manifest.segments {
        let path = segment_path(target.path(), Offset(segment.base));
        if crc_of(&path)? != segment.crc {
            return Err(OfflineError::BadCopy { path });
        }
    }
    if manifest.segments.is_empty() {
        return Ok(());
    }
    let copy = inspect(target.path())?;
    let is_same = copy.epoch == source.epoch.to_string();
    if !is_same || entries_of(&copy.segments) != entries_of(reports) {
        return Err(OfflineError::BadCopy { path: target.path().to_owned() });
    }
    Ok(())
}

/// The CRC-32C of a file.
///
/// # Errors
/// As the file system reports them.
pub(super) fn crc_of(path: &Path) -> Result<u32, OfflineError> {
    let mut file = File::open(path).map_err(OfflineError::io("open", path))?;
    let mut buffer = vec![0; COPY_BYTES];
    let mut crc = 0;
    loop {
        let read = file.read(&mut buffer).map_err(OfflineError::io("read", path))?;
        if read == 0 {
            return Ok(crc);
        }
        crc = crc32c::crc32c_append(crc, &buffer[..read]);
    }
}
