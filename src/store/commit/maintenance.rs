//! What the committer does between two commits: it seals the active segment and drops the oldest.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::committer::{Committer, MAINTENANCE_PERIOD};
use super::indexer::{IndexJob, Indexer};
use super::segment_writer::CommitHeader;
use crate::store::catalog::Sealing;
use crate::store::disk::Room;
use crate::store::writing::WriteState;
use crate::store::writing::{PassingFault, WriteError};

/// How many sealed segments may wait for the task index.
const MAX_UNINDEXED: usize = 4;

/// After so many bytes it is looked how many are free, sooner than the maintenance comes.
const LOOK_EVERY_BYTES: u64 = 8 * 1024 * 1024;

/// How long a closing store waits for the task index.
const INDEX_PATIENCE: Duration = Duration::from_secs(2);

/// From so many resident tasks on, a segment is sealed as soon as they take too much memory. Fewer,
/// which are large then, do it once in [`MIN_SEAL_INTERVAL`] at most.
const CROWDED_TASKS: usize = 4096;
const MIN_SEAL_INTERVAL: Duration = Duration::from_secs(10);

impl Committer {
    /// Does what is due between two commits.
    pub(super) fn run_maintenance(&mut self) {
        let is_due = Instant::now() >= self.maintenance_at;
        if self.shared.failed().is_some() {
            self.maintenance_at = Instant::now() + MAINTENANCE_PERIOD;
            return;
        }
        self.take_index_progress();
        let must_seal = self.segments.is_full()
            || self.has_many_tasks()
            || (is_due && self.segments.is_old(self.clock.now()));
        if must_seal && self.shared.catalog().active_has_entries() {
            self.seal();
        }
        self.wait_for_index();
        if is_due {
            self.maintenance_at = Instant::now() + MAINTENANCE_PERIOD;
            self.check_place();
            self.trim_tasks();
            self.apply_retention();
        }
        if is_due || self.unlooked_bytes >= LOOK_EVERY_BYTES {
            self.wait_for_room();
        }
    }

    /// A directory that somebody removed or replaced keeps nothing.
    fn check_place(&self) {
        if let Err(error) = self.segments.check_place() {
            drop(self.shared.poison("looking at the data directory", &error));
        }
    }

    /// Waits while the volume has less free than is to stay free.
    fn wait_for_room(&mut self) {
        self.unlooked_bytes = 0;
        self.note_room();
        if self.min_free_bytes > 0 && self.shared.failed().is_none() {
            let _failed_or_closing = self.until_done("room", |committer| committer.look_at_room());
        }
    }

    /// For those who ask how full the volume is.
    fn note_room(&self) -> Option<Room> {
        self.segments.room().inspect(|room| self.shared.counters.note_room(*room))
    }

    fn look_at_room(&self) -> Result<(), WriteError> {
        let kept = self.min_free_bytes;
        match self.note_room() {
            Some(Room { free_bytes: free, .. }) if free < kept => {
                Err(WriteError::Passing(PassingFault::LowRoom { free, kept }))
            }
            _ => Ok(()),
        }
    }

    /// While the store waits: lets go of what may go.
    pub(super) fn let_old_go(&mut self) {
        self.check_place();
        self.take_index_progress();
        if self.shared.failed().is_none() {
            self.apply_retention();
        }
    }

    /// Makes the active segment's file, where it has none.
    pub(super) fn begin_segment(&mut self) {
        let begun = self.until_done("a new segment", |this| this.segments.begin(this.next_commit));
        let _failed_or_closing = begun;
    }

    /// Ends the active segment with its footer and begins the next.
    fn seal(&mut self) {
        let sealed = self.until_done("a footer", |committer| {
            committer.segments.seal(&committer.shared.catalog(), committer.next_commit)
        });
        if let Ok(sealing) = sealed {
            self.on_sealed(sealing);
            self.begin_segment();
        }
    }

    fn on_sealed(&mut self, sealing: Sealing) {
        self.sealed_at = Some(Instant::now());
        let mut catalog = self.shared.catalog_mut();
        let sealed = Arc::clone(catalog.active());
        catalog.seal(sealing);
        drop(catalog);
        if let Some(indexer) = &self.indexer {
            indexer.push(IndexJob::Add(sealed));
        }
    }

    /// Whether resident tasks take so much memory that some must become evictable, which takes a
    /// sealed segment. The other half of the budget is for those that the index is taking in.
    fn has_many_tasks(&self) -> bool {
        let Some(indexer) = &self.indexer else { return false };
        let is_time = self.sealed_at.is_none_or(|at| at.elapsed() >= MIN_SEAL_INTERVAL);
        let catalog = self.shared.catalog();
        let is_crowded = catalog.tasks.len() >= CROWDED_TASKS || is_time;
        indexer.waiting() == 0 && is_crowded && catalog.bytes > self.catalog_bytes / 2
    }

    /// Memory for resident tasks is bounded: where the index cannot keep up, producers wait. A store
    /// that closes does not.
    fn wait_for_index(&mut self) {
        let mut is_told = false;
        while self.is_index_behind() && !self.shared.queue_permits.is_closed() {
            if let Some(indexer) = &self.indexer {
                indexer.wait(MAINTENANCE_PERIOD);
                if let Some(fault) = indexer.waits_for() {
                    let reason = fault.reason(self.segments.room());
                    self.shared.set_state(WriteState::Waiting(reason.into()));
                    is_told = true;
                }
            }
            self.take_index_progress();
        }
        if is_told {
            self.shared.set_state(WriteState::Ok);
        }
    }

    fn is_index_behind(&self) -> bool {
        let waiting = self.indexer.as_ref().map_or(0, Indexer::waiting);
        let is_over = self.shared.catalog().bytes > self.catalog_bytes;
        waiting >= MAX_UNINDEXED || (waiting > 0 && is_over)
    }

    /// At the end, lets the index finish what would otherwise be done at the next start.
    pub(super) fn finish_index(&mut self) {
        if let Some(indexer) = &self.indexer {
            indexer.wait_until_idle(INDEX_PATIENCE);
        }
        self.take_index_progress();
        self.segments.run_pending_deletes();
    }

    /// Lets go of what the index has, and of the files that nothing refers to any more.
    fn take_index_progress(&mut self) {
        let Some(indexer) = &self.indexer else { return };
        let progress = indexer.progress();
        self.evictable_to = progress.indexed_to.or(self.evictable_to);
        // What is staged counts on the tasks that it was staged for.
        if let Some(end) = self.evictable_to.take_if(|_| self.staging.is_empty()) {
            self.shared.catalog_mut().evict_indexed(end);
        }
        progress.removed.iter().for_each(|segment| self.segments.delete(segment));
    }

    /// Drops the oldest segments while there is a reason to.
    fn apply_retention(&mut self) {
        let now = self.clock.now();
        self.retention.look(now, self.shared.catalog().segments.len());
        loop {
            let reason = self.retention.reason_to_drop(&self.shared.catalog(), now);
            let Some(reason) = reason else { break };
            if self.shared.catalog().segments.len() == 1 {
                self.seal();
            }
            if !self.repeat_cursors() {
                break;
            }
            self.drop_oldest(reason);
        }
        self.segments.run_pending_deletes();
    }

    /// Before the last sealed segment goes, whose footer has the cursors, the active one gets them;
    /// false where it cannot, now or for good.
    fn repeat_cursors(&mut self) -> bool {
        let catalog = self.shared.catalog();
        let (is_last, cursors) = (catalog.segments.len() == 2, catalog.cursors.clone());
        let tail = catalog.tail;
        drop(catalog);
        if !is_last || cursors.is_empty() {
            return true;
        }
        let commit = CommitHeader { number: self.next_commit, time: self.clock.now() };
        match self.segments.write_control_chunk(commit, tail, &cursors) {
            Ok(is_commit) => {
                self.next_commit += u64::from(is_commit);
                true
            }
            Err(WriteError::Passing(_)) => false,
            Err(WriteError::Lasting(error)) => {
                drop(self.shared.poison("the cursors' control chunk", &error));
                false
            }
        }
    }

    fn drop_oldest(&mut self, reason: &'static str) {
        let Some(segment) = self.shared.catalog_mut().forget_oldest() else { return };
        self.retention.note_dropped(reason);
        self.shared.counters.note_deleted();
        tracing::info!(segment = %segment.path.display(), reason, "dropped the oldest segment");
        match &self.indexer {
            Some(indexer) => indexer.push(IndexJob::Remove(segment)),
            None => self.segments.delete(&segment),
        }
    }
}
