//! What a store is opened with.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::disk::{Disk, RealDisk};
use super::limits::WallClock;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// A limit on what is kept is met in steps of whole segments; this many fit below it.
const SEGMENTS_BELOW_RETENTION: u32 = 8;

/// The smallest size that a byte limit may shrink segments to.
const MIN_SHRUNK_SEGMENT_BYTES: u64 = MIB;

/// What an acknowledged entry has survived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// It is on the disk: it survives a power cut.
    #[default]
    Fsync,
    /// The operating system has it: it survives the death of this process, not of the machine.
    Os,
    /// It is in memory alone. There are no files.
    Memory,
}

impl Durability {
    /// Every mode, for help texts.
    pub const ALL: [Self; 3] = [Self::Fsync, Self::Os, Self::Memory];

    /// The mode's name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
            Self::Os => "os",
            Self::Memory => "memory",
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not the name of a durability mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a durability mode, known are fsync, os and memory")]
pub struct UnknownDurability(pub String);

impl FromStr for Durability {
    type Err = UnknownDurability;
    fn from_str(text: &str) -> Result<Self, UnknownDurability> {
        let known = Self::ALL.into_iter().find(|mode| mode.as_str() == text);
        known.ok_or_else(|| UnknownDurability(text.to_owned()))
    }
}

/// What a store is opened with.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The data directory; made when it is missing.
    pub dir: PathBuf,
    /// When an append counts as done.
    pub durability: Durability,
    /// A segment is sealed once it has this many bytes.
    pub segment_bytes: u64,
    /// A segment is sealed once it is this old.
    pub segment_age: Duration,
    /// A segment is sealed once it has this many chunks; bounds its index in memory.
    pub segment_chunks: usize,
    /// How many bytes of batches may wait for the committer.
    pub queue_bytes: usize,
    /// A commit takes no further batch once it has this many bytes.
    pub commit_bytes: usize,
    /// A commit takes no further batch once it has this many entries.
    pub commit_entries: usize,
    /// About how far apart commits of small batches are; see `commit`.
    pub commit_interval: Duration,
    /// Segments whose last entry is older than this are dropped.
    pub retention_age: Option<Duration>,
    /// The oldest segments are dropped while there are more bytes than this on the disk.
    pub retention_bytes: Option<u64>,
    /// Of a task that has more bytes than this, the beginning and the end are kept.
    pub task_bytes: Option<u64>,
    /// While the volume has less free than this, nothing is written; `None` for a twentieth of the
    /// volume, a GiB at most, and 0 for no such bound.
    pub min_free_bytes: Option<u64>,
    /// A write that takes longer than this is told in the [`WriteState`](super::WriteState).
    pub stall_timeout: Duration,
    /// What the list of tasks and workers may take in memory, in bytes. Beyond it the oldest
    /// segments are dropped, and with them the tasks that have nothing else.
    pub catalog_bytes: usize,
    /// What indexes of sealed segments may take in memory, in bytes.
    pub index_cache_bytes: usize,
    /// Without files: what the newest blocks may take in memory, in bytes. The rest cannot be read.
    pub memory_bytes: usize,
    /// How many segment files stay open for reading.
    pub open_files: usize,
    /// The file system.
    pub disk: Arc<dyn Disk>,
    /// The clock by which entries get older.
    pub clock: WallClock,
}

impl StoreOptions {
    /// The defaults, with the data in `dir`, whose volume may be filled up.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            durability: Durability::Fsync,
            segment_bytes: 256 * MIB,
            segment_age: Duration::from_secs(60 * 60),
            segment_chunks: 262_144,
            queue_bytes: 16 * MIB as usize,
            commit_bytes: 4 * MIB as usize,
            commit_entries: 16_384,
            commit_interval: Duration::from_millis(4),
            retention_age: None,
            retention_bytes: None,
            task_bytes: None,
            min_free_bytes: Some(0),
            stall_timeout: Duration::from_secs(30),
            catalog_bytes: 64 * MIB as usize,
            index_cache_bytes: 16 * MIB as usize,
            memory_bytes: 24 * MIB as usize,
            open_files: 64,
            disk: Arc::new(RealDisk),
            clock: WallClock::default(),
        }
    }

    /// The defaults without files.
    pub fn in_memory() -> Self {
        Self { durability: Durability::Memory, ..Self::new("") }
    }

    /// The same with segments small enough for what is to be kept.
    pub(super) fn fitted(mut self) -> Self {
        if let Some(kept) = self.retention_bytes {
            let fitting = kept / u64::from(SEGMENTS_BELOW_RETENTION);
            self.segment_bytes = self.segment_bytes.min(fitting.max(MIN_SHRUNK_SEGMENT_BYTES));
        }
        if let Some(kept) = self.retention_age {
            self.segment_age = self.segment_age.min(kept / SEGMENTS_BELOW_RETENTION);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_durability_mode_survives_text_and_an_unknown_one_is_named() {
        for mode in Durability::ALL {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        let error = "paper".parse::<Durability>().unwrap_err().to_string();
        assert_eq!(error, "\"paper\" is not a durability mode, known are fsync, os and memory");
    }

    #[test]
    fn a_small_byte_limit_makes_small_segments() {
        let options = StoreOptions { retention_bytes: Some(80 * MIB), ..StoreOptions::new("d") };
        assert_eq!(options.fitted().segment_bytes, 10 * MIB);
    }
}
