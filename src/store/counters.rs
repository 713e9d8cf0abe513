//! What a store counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A few numbers about a store, since its opening where they count something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Segments, with the active one.
    pub segments: usize,
    /// Bytes of the segments' files.
    pub disk_bytes: u64,
    /// About what the list of tasks and workers takes in memory, in bytes.
    pub catalog_bytes: usize,
    /// Segments that retention deleted.
    pub deleted_segments: u64,
    /// Places of the files that are damaged, as far as they were read.
    pub damaged_places: usize,
    /// Tasks that were deleted.
    pub deleted_tasks: u64,
    /// Tasks that grew beyond the limit on their bytes.
    pub trimmed_tasks: u64,
    /// Lines from the middle of such tasks that the limit has taken.
    pub trimmed_lines: u64,
    /// Commits that kept something.
    pub commits: u64,
    /// Chunks written.
    pub chunks: u64,
    /// Entries kept.
    pub entries: u64,
    /// Bytes written by commits.
    pub written_bytes: u64,
    /// Time that commits spent on writing and syncing.
    pub write_time: Duration,
}

/// What is counted as it happens.
#[derive(Debug, Default)]
pub(super) struct Counters {
    deleted_segments: AtomicU64,
    deleted_tasks: AtomicU64,
    trimmed_tasks: AtomicU64,
    trimmed_lines: AtomicU64,
    commits: AtomicU64,
    chunks: AtomicU64,
    entries: AtomicU64,
    written_bytes: AtomicU64,
    write_nanos: AtomicU64,
}

impl Counters {
    pub(super) fn note_commit(&self, chunks: usize, entries: u64) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.chunks.fetch_add(chunks as u64, Ordering::Relaxed);
        self.entries.fetch_add(entries, Ordering::Relaxed);
    }

    pub(super) fn note_write(&self, bytes: usize, took: Duration) {
        self.written_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.write_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(super) fn note_deleted(&self) {
        self.deleted_segments.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_deleted_tasks(&self, tasks: usize) {
        self.deleted_tasks.fetch_add(tasks as u64, Ordering::Relaxed);
    }

    /// `is_first` says that it is the first trim of its task.
    pub(super) fn note_trim(&self, is_first: bool, lines: u64) {
        self.trimmed_tasks.fetch_add(u64::from(is_first), Ordering::Relaxed);
        self.trimmed_lines.fetch_add(lines, Ordering::Relaxed);
    }

    /// The counts now, beside what is there.
    pub(super) fn stats(&self, segments: usize, disk_bytes: u64, catalog_bytes: usize) -> Stats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            segments,
            disk_bytes,
            catalog_bytes,
            damaged_places: 0,
            deleted_segments: count(&self.deleted_segments),
            deleted_tasks: count(&self.deleted_tasks),
            trimmed_tasks: count(&self.trimmed_tasks),
            trimmed_lines: count(&self.trimmed_lines),
            commits: count(&self.commits),
            chunks: count(&self.chunks),
            entries: count(&self.entries),
            written_bytes: count(&self.written_bytes),
            write_time: Duration::from_nanos(count(&self.write_nanos)),
        }
    }
}
