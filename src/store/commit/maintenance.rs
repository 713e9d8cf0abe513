//! What the committer does between two commits: it seals the active segment and drops the oldest.

use std::time::Instant;

use super::committer::{Committer, MAINTENANCE_PERIOD};
use super::segment_writer::CommitHeader;
use crate::store::format::Millis;

impl Committer {
    /// Does what is due between two commits.
    pub(super) fn run_maintenance(&mut self) {
        let is_due = Instant::now() >= self.maintenance_at;
        if self.shared.failed().is_some() {
            self.maintenance_at = Instant::now() + MAINTENANCE_PERIOD;
            return;
        }
        let must_seal = self.segments.is_full() || (is_due && self.segments.is_old(Millis::now()));
        if must_seal && self.shared.catalog().active_has_entries() {
            self.seal_or_poison();
        }
        if is_due {
            self.maintenance_at = Instant::now() + MAINTENANCE_PERIOD;
            self.apply_retention();
        }
    }

    /// Ends the active segment with its footer and begins the next.
    fn seal_or_poison(&mut self) {
        let sealed = self.segments.seal(&self.shared.catalog(), self.next_commit);
        match sealed {
            Ok(sealing) => self.shared.catalog_mut().seal(sealing),
            Err(error) => drop(self.shared.poison("a new segment", &error)),
        }
    }

    /// Drops the oldest segments while there is a reason to.
    fn apply_retention(&mut self) {
        loop {
            let reason = self.retention.reason_to_drop(&self.shared.catalog());
            let Some(reason) = reason else { break };
            if self.shared.catalog().segments.len() == 1 {
                self.seal_or_poison();
            }
            self.repeat_cursors();
            if self.shared.failed().is_some() {
                return;
            }
            self.drop_oldest(reason);
        }
        self.segments.run_pending_deletes();
    }

    /// Before the last sealed segment goes, whose footer has the cursors, the active one gets them.
    fn repeat_cursors(&mut self) {
        let catalog = self.shared.catalog();
        let (is_last, cursors) = (catalog.segments.len() == 2, catalog.cursors.clone());
        let tail = catalog.tail;
        drop(catalog);
        if is_last && !cursors.is_empty() {
            let commit = CommitHeader { number: self.next_commit, time: Millis::now() };
            match self.segments.write_control_chunk(commit, tail, &cursors) {
                Ok(is_commit) => self.next_commit += u64::from(is_commit),
                Err(error) => drop(self.shared.poison("the cursors' control chunk", &error)),
            }
        }
    }

    fn drop_oldest(&mut self, reason: &'static str) {
        let Some(segment) = self.shared.catalog_mut().forget_oldest() else { return };
        tracing::info!(segment = %segment.path.display(), reason, "dropped the oldest segment");
        self.segments.delete(&segment);
    }
}
