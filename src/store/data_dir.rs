//! The data directory itself: its lock, and the file that names the store.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::format::{
    FilePosition, SEGMENT_HEADER_BYTES, SegmentHeader, VERSION, base_in_name, segment_path,
};
use super::open_error::OpenError;
use crate::domain::{Epoch, Offset};

const LOCK: &str = "LOCK";
const META: &str = "META";
/// The file that makes a directory a backup.
pub(super) const BACKUP: &str = "BACKUP";
/// What becomes of a META that is damaged.
const META_DAMAGED: &str = "META.damaged";
const META_TEMPORARY: &str = "META.tmp";

/// Makes the directory where it is missing, and locks it for as long as the file is held.
///
/// # Errors
/// Names the directory and what is wrong with it.
pub(super) fn lock(dir: &Path) -> Result<File, OpenError> {
    if fs::metadata(dir).is_ok_and(|metadata| !metadata.is_dir()) {
        return Err(OpenError::NotADirectory { path: dir.to_owned() });
    }
    create_durably(dir).map_err(OpenError::io("create the data directory", dir))?;
    let path = lock_path(dir);
    let file = File::create(&path).map_err(OpenError::io("write in the data directory", dir))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: dir.to_owned() }),
        Err(TryLockError::Error(error)) => Err(OpenError::io("lock", &path)(error)),
    }
}

/// Makes the directory and those above it, and makes their names durable.
///
/// # Errors
/// As the file system reports them.
pub(super) fn create_durably(dir: &Path) -> io::Result<()> {
    let missing: Vec<_> = dir.ancestors().take_while(|path| !path.exists()).collect();
    fs::create_dir_all(dir)?;
    for made in missing {
        let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

/// The file that a server locks.
pub(super) fn lock_path(dir: &Path) -> PathBuf {
    dir.join(LOCK)
}

/// Whether a store was made in `dir`.
pub(super) fn holds_a_store(dir: &Path) -> bool {
    meta_path(dir).exists()
}

/// The file that names the store in `dir`.
pub(super) fn meta_path(dir: &Path) -> PathBuf {
    dir.join(META)
}

/// The store's epoch, made where the directory is new.
///
/// # Errors
/// When the file that holds it is of another version, or damaged or missing where no segment says
/// which store this is; and when the directory is a backup.
pub(super) fn epoch(dir: &Path) -> Result<Epoch, OpenError> {
    if dir.join(BACKUP).exists() {
        return Err(OpenError::Backup { path: dir.to_owned() });
    }
    match known_epoch(dir) {
        Ok(Some(epoch)) => Ok(epoch),
        Ok(None) => recovered_epoch(dir)?.map_or_else(|| create(dir), Ok),
        Err(error @ OpenError::Damaged { .. }) => recovered_epoch(dir)?.ok_or(error),
        Err(error) => Err(error),
    }
}

/// The epoch that all segments name whose header is sound, where META is missing or damaged. META is
/// written anew then; a damaged one is set aside.
fn recovered_epoch(dir: &Path) -> Result<Option<Epoch>, OpenError> {
    let mut named = None;
    for base in segment_bases(dir)? {
        let Some(header) = header_of(dir, base)? else { continue };
        if named.is_some_and(|named| named != header.epoch) {
            let what = "it does not say which store this is, and the segments are of several";
            return Err(OpenError::damaged(&meta_path(dir), FilePosition(0), what));
        }
        named = Some(header.epoch);
    }
    let Some(epoch) = named else { return Ok(None) };
    let path = meta_path(dir);
    tracing::error!(file = %path.display(), %epoch, "missing or damaged; made anew from the segments");
    if path.exists() {
        let aside = dir.join(META_DAMAGED);
        fs::rename(&path, &aside).map_err(OpenError::io("set aside", &path))?;
    }
    write_meta(dir, epoch)?;
    Ok(Some(epoch))
}

/// The first offsets of the segments in `dir`, as their names say, in order.
///
/// # Errors
/// As the file system reports them.
pub(super) fn segment_bases(dir: &Path) -> Result<Vec<Offset>, OpenError> {
    let mut bases = Vec::new();
    for entry in fs::read_dir(dir).map_err(OpenError::io("list", dir))? {
        let entry = entry.map_err(OpenError::io("list", dir))?;
        bases.extend(entry.file_name().to_str().and_then(base_in_name));
    }
    bases.sort_unstable();
    Ok(bases)
}

/// The header of the segment that begins with `base`; `None` where it is damaged.
fn header_of(dir: &Path, base: Offset) -> Result<Option<SegmentHeader>, OpenError> {
    let path = &segment_path(dir, base);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(OpenError::io("open", path))?;
    let read = file.take(SEGMENT_HEADER_BYTES as u64).read_to_end(&mut bytes);
    read.map_err(OpenError::io("read", path))?;
    Ok(SegmentHeader::decode(&bytes).filter(|header| header.base == base))
}

/// The epoch that the directory's META names; `None` where there is no META.
///
/// # Errors
/// When it is unreadable, or of another version.
pub(super) fn known_epoch(dir: &Path) -> Result<Option<Epoch>, OpenError> {
    let path = meta_path(dir);
    match fs::read_to_string(&path) {
        Ok(text) => parse(&text, &path).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(OpenError::damaged(&path, FilePosition(0), "it is not text"))
        }
        Err(error) => Err(OpenError::io("read", &path)(error)),
    }
}

/// What META says of a store.
pub(super) fn meta_text(epoch: Epoch) -> String {
    let named = format!("version {VERSION}\nepoch {epoch}\n");
    format!("{named}crc {:08x}\n", crc32c::crc32c(named.as_bytes()))
}

fn parse(found: &str, path: &Path) -> Result<Epoch, OpenError> {
    let field =
        |name: &str| found.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let version = field("version").and_then(|version| version.parse().ok());
    if let Some(version) = version.filter(|version| *version != VERSION) {
        return Err(OpenError::Version { path: path.into(), found: version, known: VERSION });
    }
    let epoch = field("epoch").and_then(|epoch| u32::from_str_radix(epoch, 16).ok()).map(Epoch);
    match epoch {
        Some(epoch) if meta_text(epoch) == found => Ok(epoch),
        _ => Err(OpenError::damaged(path, FilePosition(0), "it does not name a store")),
    }
}

fn create(dir: &Path) -> Result<Epoch, OpenError> {
    if !segment_bases(dir)?.is_empty() {
        let what = "it is missing, but there are segments";
        return Err(OpenError::damaged(&meta_path(dir), FilePosition(0), what));
    }
    let epoch = random_epoch();
    write_meta(dir, epoch)?;
    Ok(epoch)
}

fn write_meta(dir: &Path, epoch: Epoch) -> Result<(), OpenError> {
    let path = meta_path(dir);
    let temporary = dir.join(META_TEMPORARY);
    let written = File::create(&temporary)
        .and_then(|mut file| {
            file.write_all(meta_text(epoch).as_bytes()).and_then(|()| file.sync_all())
        })
        .and_then(|()| fs::rename(&temporary, &path))
        .and_then(|()| File::open(dir)?.sync_all());
    written.map_err(OpenError::io("write", &path))
}

/// A new store's epoch.
pub(super) fn random_epoch() -> Epoch {
    Epoch(fastrand::u32(..))
}
