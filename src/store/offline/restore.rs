//! A data directory from a backup, with an epoch of its own.
//!
//! After the backup the old store gave further offsets to other entries. A new epoch tells clients that
//! come back with such an id to begin anew. Every checksum starts from the epoch, so each is made anew
//! too; what is damaged in the backup stays as it is, and stays damaged.

use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::backup::crc_of;
use super::error::OfflineError;
use super::inspect::{inspect, scan_segment};
use super::manifest::{BackedUpSegment, Manifest};
use super::scan::{TaskReports, entries_of};
use super::source::{SourceDir, SourceSegment};
use super::target::TargetDir;
use crate::domain::{Epoch, Offset};
use crate::store::data_dir;
use crate::store::format::{
    ChecksumSeed, FIRST_CHUNK, FilePosition, SEGMENT_HEADER_BYTES, ScanBuffer, ScanItem,
    SegmentHeader, TRAILER_BYTES, reseed_chunk, reseed_trailer, segment_path,
};

/// How much is copied at once.
const COPY_BYTES: usize = 1024 * 1024;

/// What was restored.
#[derive(Debug)]
pub struct RestoreReport {
    /// How many segments.
    pub segments: usize,
    /// Entries that can be read.
    pub entries: u64,
    /// The new store's epoch, as in event ids.
    pub epoch: String,
    /// Whether the backup has damage from the directory that it was made of.
    pub is_sound: bool,
}

/// Makes the data directory `to` from the backup `dir`. `progress` is told how many segments of how
/// many are done.
///
/// # Errors
/// When `dir` is no backup or damaged, or `to` cannot be made; then nothing stays there.
pub fn restore(
    dir: &Path,
    to: &Path,
    progress: &dyn Fn(usize, usize),
) -> Result<RestoreReport, OfflineError> {
    fs::read_dir(dir).map_err(OfflineError::io("list", dir))?;
    let Some(manifest) = Manifest::read(dir)? else {
        return Err(OfflineError::NotABackup { path: dir.to_owned() });
    };
    let mut bytes = 0;
    for segment in &manifest.segments {
        check(dir, segment)?;
        bytes += segment.bytes;
    }
    check_lost_ranges(dir, &manifest)?;
    let target = TargetDir::make(to, dir, bytes)?;
    let epoch = data_dir::random_epoch();
    if manifest.segments.is_empty() {
        finish(target, epoch)?;
        return Ok(RestoreReport {
            segments: 0,
            entries: 0,
            epoch: epoch.to_string(),
            is_sound: true,
        });
    }
    let source = SourceDir::open(dir)?;
    if source.segments.len() != manifest.segments.len() {
        let (has, had) = (source.segments.len(), manifest.segments.len());
        let what = format!("it has {has} segments, and was backed up with {had}");
        return Err(OfflineError::DamagedBackup { path: dir.to_owned(), what });
    }
    let mut entries = 0;
    for (at, segment) in source.segments.iter().enumerate() {
        entries += scan_segment(&source, at, &mut TaskReports::new())?.report.entries;
        copy(segment, &source, epoch, &target)?;
        progress(at + 1, source.segments.len());
    }
    source.copy_lost(target.path())?;
    let copy = inspect(target.path())?;
    let (is_sound, read) = (copy.segments.iter().all(|s| s.damage.is_empty()), copy.segments);
    if entries_of(&read) != entries {
        return Err(OfflineError::BadCopy { path: target.path().to_owned() });
    }
    finish(target, epoch)?;
    Ok(RestoreReport { segments: read.len(), entries, epoch: epoch.to_string(), is_sound })
}

fn finish(target: TargetDir, epoch: Epoch) -> Result<(), OfflineError> {
    let name = data_dir::meta_path(target.path());
    target.finish(&name, data_dir::meta_text(epoch).as_bytes())
}

/// Checks that each record of lost entries is there.
fn check_lost_ranges(dir: &Path, manifest: &Manifest) -> Result<(), OfflineError> {
    let mut paths = manifest.lost_ranges.iter().map(|name| dir.join(name));
    paths.find(|path| !path.exists()).map_or(Ok(()), |path| {
        Err(OfflineError::DamagedBackup { path, what: "the file is missing".into() })
    })
}

/// Checks that a file of the backup is what was written.
fn check(dir: &Path, segment: &BackedUpSegment) -> Result<(), OfflineError> {
    let path = segment_path(dir, Offset(segment.base));
    let damaged = |what: String| Err(OfflineError::DamagedBackup { path: path.clone(), what });
    let Ok(found) = fs::metadata(&path) else { return damaged("the file is missing".into()) };
    if found.len() != segment.bytes {
        let (has, had) = (found.len(), segment.bytes);
        return damaged(format!("it has {has} bytes, and was backed up with {had}"));
    }
    if crc_of(&path)? != segment.crc {
        return damaged("its checksum is not that of what was backed up".into());
    }
    Ok(())
}

fn copy(
    segment: &SourceSegment,
    source: &SourceDir,
    epoch: Epoch,
    target: &TargetDir,
) -> Result<(), OfflineError> {
    let trailer = segment.trailer(source.epoch)?;
    let data_end = trailer.map(|trailer| trailer.sealed.data_end);
    let path = segment_path(target.path(), segment.base);
    target.write_file(&path, |out| {
        let mut put = |bytes: &[u8]| out.write_all(bytes).map_err(OfflineError::io("write", &path));
        put(&new_header(segment, epoch)?)?;
        let seeds =
            Seeds { old: segment.seed(source.epoch), new: ChecksumSeed::new(epoch, segment.base) };
        let end = data_end.unwrap_or(FilePosition(segment.bytes));
        copy_chunks(segment, &seeds, end, &mut put)?;
        if data_end.is_some() {
            let mut footer = raw(segment, end, FilePosition(segment.bytes))?;
            let trailer_at = footer.len() - TRAILER_BYTES;
            reseed_trailer(&mut footer[trailer_at..], seeds.new);
            put(&footer)?;
        }
        Ok(())
    })
}

/// The checksums of a segment in the old store and in the new one.
struct Seeds {
    old: ChecksumSeed,
    new: ChecksumSeed,
}

fn new_header(segment: &SourceSegment, epoch: Epoch) -> Result<Vec<u8>, OfflineError> {
    match segment.header {
        Some(header) => Ok(SegmentHeader { epoch, ..header }.encode()),
        None => raw(segment, FilePosition(0), FilePosition(SEGMENT_HEADER_BYTES as u64)),
    }
}

fn copy_chunks(
    segment: &SourceSegment,
    seeds: &Seeds,
    end: FilePosition,
    put: &mut dyn FnMut(&[u8]) -> Result<(), OfflineError>,
) -> Result<(), OfflineError> {
    let io = OfflineError::io("read", &segment.path);
    let mut buffer = ScanBuffer::new(&segment.file, end, COPY_BYTES);
    let mut position = FIRST_CHUNK;
    while position < end {
        if let ScanItem::Chunk(found, bytes) = buffer.item(position, seeds.old).map_err(&io)? {
            let mut chunk = bytes.to_vec();
            reseed_chunk(&mut chunk, seeds.new, position);
            put(&chunk)?;
            position = position + found.bytes();
        } else {
            let next = buffer.find_magic(position + 1).map_err(&io)?.unwrap_or(end);
            put(&raw(segment, position, next)?)?;
            position = next;
        }
    }
    Ok(())
}

fn raw(
    segment: &SourceSegment,
    from: FilePosition,
    to: FilePosition,
) -> Result<Vec<u8>, OfflineError> {
    let mut bytes = vec![0; to - from];
    let read = segment.file.read_exact_at(&mut bytes, from.0);
    read.map_err(OfflineError::io("read", &segment.path))?;
    Ok(bytes)
}
