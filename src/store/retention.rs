//! Upkeep between commits: seals the active segment, drops the oldest ones.

use std::io;
use std::time::{Duration, Instant};

use super::chunk::ChecksumSeed;
use super::committer::{Committer, MAINTENANCE_PERIOD};
use super::directory::{Directory, Sealed, Segment};
use super::footer;
use super::index::IndexAt;
use super::options::{Durability, StoreOptions};
use super::segment::{self, Active};
use crate::domain::now_ms;

impl Committer {
    /// Does what is due between two commits.
    pub(super) fn run_maintenance(&mut self) {
        let due = Instant::now() >= self.maintenance_at;
        if self.shared.failed().is_some() {
            self.maintenance_at = Instant::now() + MAINTENANCE_PERIOD;
            return;
        }
        if self.is_full() || (due && self.is_old()) {
            self.seal_or_poison();
        }
        if due {
            self.maintenance_at = Instant::now() + MAINTENANCE_PERIOD;
            self.retain();
        }
    }

    fn is_full(&self) -> bool {
        let many_bytes = self.active.position >= self.options.segment_bytes;
        let many_chunks = self.active.chunks >= self.options.segment_chunks;
        (many_bytes || many_chunks) && self.has_entries()
    }

    fn is_old(&self) -> bool {
        let age_ms = now_ms().saturating_sub(self.active.created_ms);
        self.has_entries() && Duration::from_millis(age_ms) >= self.options.segment_age
    }

    fn has_entries(&self) -> bool {
        let directory = self.shared.directory();
        directory.tail > directory.active().base
    }

    fn seal_or_poison(&mut self) {
        if let Err(error) = self.seal() {
            let _reason = self.shared.poison("a new segment", &error);
        }
    }

    /// Ends the active segment with its footer and begins the next.
    fn seal(&mut self) -> io::Result<()> {
        if self.options.durability == Durability::Memory {
            self.begin_next_in_memory();
            return Ok(());
        }
        let last = (self.next_commit - 1, self.active.last_time_ms);
        let footer =
            footer::build(&self.shared.directory(), self.active.seed, self.active.position, last);
        self.active.append(&footer.bytes, 0)?;
        self.active.sync()?;
        let epoch = self.shared.epoch;
        let base = footer.sealed.end_offset;
        let next = (epoch, base, self.next_commit);
        self.active = Active::create(&*self.options.disk, &self.options.dir, next)?;
        let path = segment::path(&self.options.dir, base);
        let mut directory = self.shared.directory_mut();
        directory.seal_active(footer.sealed, &footer.indexes);
        directory.begin_segment(Segment::new(base, path), self.active.position);
        Ok(())
    }

    fn begin_next_in_memory(&mut self) {
        let mut directory = self.shared.directory_mut();
        let nowhere = IndexAt { position: 0, bytes: 0, crc: 0 };
        let end_offset = directory.tail;
        let last_time_ms = self.active.last_time_ms;
        let sealed =
            Sealed { data_end: 0, end_offset, file_bytes: 0, last_time_ms, sparse: nowhere };
        directory.seal_active(sealed, &[]);
        directory.begin_segment(Segment::new(end_offset, "".into()), 0);
        self.active = Active::without_file(ChecksumSeed::new(self.shared.epoch.0, end_offset));
    }

    /// Drops the oldest segments while there is a reason to.
    fn retain(&mut self) {
        loop {
            let reason = reason_to_drop(&self.options, &self.shared.directory());
            let Some(reason) = reason else { break };
            if self.shared.directory().segments.len() == 1 {
                self.seal_or_poison();
            }
            self.repeat_cursors();
            if self.shared.failed().is_some() {
                return;
            }
            self.drop_oldest(reason);
        }
        self.remove_pending_deletes();
    }

    /// Before the last sealed segment goes, whose footer has the cursors, the active one gets them.
    fn repeat_cursors(&mut self) {
        let directory = self.shared.directory();
        let (is_last, cursors) = (directory.segments.len() == 2, directory.cursors.clone());
        drop(directory);
        let has_files = self.options.durability != Durability::Memory;
        if is_last && has_files && !cursors.is_empty() {
            let marked = self.write_control_chunk(&cursors.encode());
            let _reason = marked.map_err(|error| self.shared.poison("the cursors' mark", &error));
        }
    }

    fn drop_oldest(&mut self, reason: &'static str) {
        let Some(segment) = self.shared.directory_mut().forget_oldest() else { return };
        tracing::info!(segment = %segment.path.display(), reason, "dropped the oldest segment");
        if self.options.durability != Durability::Memory {
            self.pending_deletes.push_back((segment.base, segment.path.clone()));
        }
    }

    /// Removes files in order and one by one durably: a hole between segments would look like loss.
    fn remove_pending_deletes(&mut self) {
        while let Some((base, path)) = self.pending_deletes.front() {
            let removed = self.options.disk.remove(path);
            self.shared.files.forget(*base);
            let outcome =
                removed.and_then(|()| self.options.disk.sync_directory(&self.options.dir));
            match outcome {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, file = %path.display(), "cannot remove a dropped segment");
                    return;
                }
                _ => self.pending_deletes.pop_front(),
            };
        }
    }
}

/// Why the oldest segment is to go, if it is.
fn reason_to_drop(options: &StoreOptions, directory: &Directory) -> Option<&'static str> {
    let has_entries = directory.tail > directory.log_start_offset();
    if directory.bytes > options.directory_bytes && has_entries {
        return Some("directory_bytes");
    }
    let oldest = directory.segments.front()?.sealed.get()?;
    let age = Duration::from_millis(now_ms().saturating_sub(oldest.last_time_ms));
    if options.retention_age.is_some_and(|kept| age > kept) {
        return Some("retention_age");
    }
    let bytes = disk_bytes(directory);
    options.retention_bytes.is_some_and(|kept| bytes > kept).then_some("retention_bytes")
}

/// Bytes of all segments' files.
pub(super) fn disk_bytes(directory: &Directory) -> u64 {
    let sealed = directory.segments.iter().filter_map(|segment| segment.sealed.get());
    sealed.map(|sealed| sealed.file_bytes).sum::<u64>() + directory.active_end
}
