//! Damage to sealed segments, while no server has them open.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The size of a lost page.
const PAGE_BYTES: u64 = 4096;

/// The segment files, oldest first; the newest is not sealed.
pub(super) fn segments(data: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(data) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "seg");
    let mut found: Vec<_> = paths.filter(is_segment).collect();
    found.sort();
    found
}

/// Flips one bit, or loses one page, of one sealed segment; says what it did, `None` where
/// no segment is sealed yet.
///
/// # Errors
/// When the file cannot be read or written.
pub(super) fn damage(data: &Path, random: &mut fastrand::Rng) -> io::Result<Option<String>> {
    let segments = segments(data);
    let Some((_, sealed)) = segments.split_last().filter(|(_, sealed)| !sealed.is_empty()) else {
        return Ok(None);
    };
    let path = &sealed[random.usize(0..sealed.len())];
    let file = File::options().read(true).write(true).open(path)?;
    let bytes = file.metadata()?.len();
    if bytes == 0 {
        return Ok(None);
    }
    let position = random.u64(0..bytes);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if random.bool() {
        let mut byte = [0];
        file.read_exact_at(&mut byte, position)?;
        file.write_all_at(&[byte[0] ^ (1 << random.u32(0..8))], position)?;
        return Ok(Some(format!("a bit of byte {position} of {name} is flipped")));
    }
    let start = position - position % PAGE_BYTES;
    let lost = PAGE_BYTES.min(bytes - start) as usize;
    file.write_all_at(&vec![0; lost], start)?;
    Ok(Some(format!("the page at byte {start} of {name} is lost")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sealed_segment_is_damaged_and_only_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let mut random = fastrand::Rng::with_seed(1);
        fs::write(dir.path().join("2.seg"), [7; 9000]).unwrap();
        assert_eq!(damage(dir.path(), &mut random).unwrap(), None);
        fs::write(dir.path().join("1.seg"), [7; 9000]).unwrap();
        for _ in 0..20 {
            assert!(damage(dir.path(), &mut random).unwrap().is_some());
        }
        let (sealed, active) =
            (fs::read(dir.path().join("1.seg")), fs::read(dir.path().join("2.seg")));
        assert_eq!(active.unwrap(), [7; 9000]);
        let sealed = sealed.unwrap();
        assert!(sealed.len() == 9000 && sealed != [7; 9000]);
    }
}
