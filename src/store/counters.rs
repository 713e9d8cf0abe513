//! What a store counts.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::disk::Room;
use super::locks::unpoisoned;
use crate::domain::Gap;
use crate::histogram::{DurationHistogram, HistogramSnapshot, SizeHistogram};

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
    /// How large commits were, and how long they took.
    pub commit_sizes: CommitSizes,
    /// Gaps kept, by why lines are missing.
    pub gaps: KeptGaps,
    /// Bytes of batches that wait in the append queue, or are being committed.
    pub queue_bytes: usize,
    /// How many of them there may be.
    pub queue_limit_bytes: usize,
    /// What the volume had free when it was last looked; `None` where there are no files.
    pub room: Option<Room>,
}

impl Stats {
    /// The same with what the append queue holds, and what it may hold.
    #[must_use]
    pub(super) fn with_queue(self, queue_bytes: usize, queue_limit_bytes: usize) -> Self {
        Self { queue_bytes, queue_limit_bytes, ..self }
    }
}

/// How large commits were, and how long they took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CommitSizes {
    /// Writing and syncing each, in nanoseconds.
    pub time: HistogramSnapshot,
    /// Bytes that each wrote.
    pub bytes: HistogramSnapshot,
    /// Entries that each kept.
    pub entries: HistogramSnapshot,
}

/// Gaps that were kept where lines could not be, by the reason that they tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeptGaps {
    /// Their sender cut its stream; nobody knows how many lines are missing.
    pub cut: GapCount,
    /// The producer's numbers leave some out.
    pub numbering: GapCount,
    /// They break a rule, or the queue was full for too long.
    pub refused: GapCount,
}

/// How many gaps there are, and lines missing in them, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GapCount {
    /// Gaps.
    pub gaps: u64,
    /// Lines.
    pub lines: u64,
}

impl KeptGaps {
    /// Counts a gap.
    pub(super) fn note(&mut self, reason: &str, lines: Option<u64>) {
        let count = match reason {
            Gap::CUT => &mut self.cut,
            Gap::NUMBERING => &mut self.numbering,
            _ => &mut self.refused,
        };
        count.gaps += 1;
        count.lines = count.lines.saturating_add(lines.unwrap_or(0));
    }

    fn add(&mut self, other: Self) {
        self.cut.add(other.cut);
        self.numbering.add(other.numbering);
        self.refused.add(other.refused);
    }
}

impl GapCount {
    fn add(&mut self, Self { gaps, lines }: Self) {
        self.gaps += gaps;
        self.lines = self.lines.saturating_add(lines);
    }
}

/// What is counted as it happens.
#[derive(Debug, Default)]
pub(super) struct Counters {
    deleted_segments: AtomicU64,
    deleted_tasks: AtomicU64,
    trimmed_tasks: AtomicU64,
    trimmed_lines: AtomicU64,
    chunks: AtomicU64,
    commit_entries: SizeHistogram,
    commit_bytes: SizeHistogram,
    commit_time: DurationHistogram,
    gaps: Mutex<KeptGaps>,
    room: Mutex<Option<Room>>,
}

impl Counters {
    pub(super) fn note_commit(&self, chunks: usize, entries: u64) {
        self.chunks.fetch_add(chunks as u64, Ordering::Relaxed);
        self.commit_entries.add(entries);
    }

    /// Counts the gaps of a commit, which nearly always has none.
    pub(super) fn note_gaps(&self, gaps: KeptGaps) {
        if gaps != KeptGaps::default() {
            unpoisoned(self.gaps.lock()).add(gaps);
        }
    }

    /// Notes what the volume has free.
    pub(super) fn note_room(&self, room: Room) {
        *unpoisoned(self.room.lock()) = Some(room);
    }

    pub(super) fn note_write(&self, bytes: usize, took: Duration) {
        self.commit_bytes.add(bytes as u64);
        self.commit_time.add(took);
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
        let (time, bytes) = (self.commit_time.snapshot(), self.commit_bytes.snapshot());
        let entries = self.commit_entries.snapshot();
        Stats {
            segments,
            disk_bytes,
            catalog_bytes,
            damaged_places: 0,
            deleted_segments: count(&self.deleted_segments),
            deleted_tasks: count(&self.deleted_tasks),
            trimmed_tasks: count(&self.trimmed_tasks),
            trimmed_lines: count(&self.trimmed_lines),
            commits: entries.count(),
            chunks: count(&self.chunks),
            entries: entries.sum(),
            written_bytes: bytes.sum(),
            write_time: Duration::from_nanos(time.sum()),
            commit_sizes: CommitSizes { time, bytes, entries },
            gaps: *unpoisoned(self.gaps.lock()),
            queue_bytes: 0,
            queue_limit_bytes: 0,
            room: *unpoisoned(self.room.lock()),
        }
    }
}
