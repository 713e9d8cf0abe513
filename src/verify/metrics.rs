//! What is measured beside the verdict: acknowledgement times, and what the server's process takes.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Counts and times that the actors add to and the progress line reads.
#[derive(Debug, Default)]
pub struct Metrics {
    counts: Mutex<Counts>,
    /// The server's process; 0 while there is none.
    process: AtomicU32,
}

/// Counts since the run began, and acknowledgement times since they were last taken.
#[derive(Debug, Default, Clone)]
pub struct Counts {
    /// Lines sent for the first time.
    pub sent: u64,
    /// Lines acknowledged.
    pub acked: u64,
    /// Lines that viewers were given.
    pub seen: u64,
    /// Faults injected.
    pub faults: u64,
    times_us: Vec<u64>,
}

/// So many times are kept for a quantile; beyond it every second one goes.
const MAX_TIMES: usize = 1 << 20;

impl Metrics {
    /// Adds to the counts.
    pub fn add(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts());
    }

    /// A line was acknowledged so long after it was sent.
    pub fn acked_after(&self, waited: Duration) {
        let mut counts = self.counts();
        counts.acked += 1;
        counts.times_us.push(u64::try_from(waited.as_micros()).unwrap_or(u64::MAX));
        if counts.times_us.len() > MAX_TIMES {
            let mut is_kept = false;
            counts.times_us.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
        }
    }

    /// The counts; the times begin anew.
    pub fn take(&self) -> Counts {
        let mut counts = self.counts();
        let times_us = std::mem::take(&mut counts.times_us);
        Counts { times_us, ..counts.clone() }
    }

    /// The server is this process from now on.
    pub fn watch_process(&self, id: Option<u32>) {
        self.process.store(id.unwrap_or(0), Ordering::Relaxed);
    }

    /// What the server's process takes, where there is one.
    pub fn usage(&self) -> Option<Usage> {
        usage(self.process.load(Ordering::Relaxed))
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// The time within which `share` (0 to 1) of the lines were acknowledged.
    pub fn quantile(&mut self, share: f64) -> Duration {
        self.times_us.sort_unstable();
        let last = self.times_us.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        Duration::from_micros(self.times_us.get(at).copied().unwrap_or(0))
    }
}

/// What a process takes, as Linux tells it; `None` where the system does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory in KiB.
    pub resident_kib: u64,
    /// Open file descriptors.
    pub files: u64,
}

fn usage(id: u32) -> Option<Usage> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let resident_kib = line.trim().trim_end_matches(" kB").parse().ok()?;
    let files = fs::read_dir(format!("/proc/{id}/fd")).ok()?.count() as u64;
    Some(Usage { resident_kib, files })
}

/// The bytes of the files right below `dir`.
pub fn disk_bytes(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|found| found.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_times_since_the_last_taking() {
        let metrics = Metrics::default();
        (1..=101).for_each(|ms| metrics.acked_after(Duration::from_millis(ms)));
        let mut counts = metrics.take();
        assert_eq!(counts.quantile(0.5), Duration::from_millis(51));
        assert_eq!(counts.quantile(0.99), Duration::from_millis(100));
        let mut later = metrics.take();
        assert_eq!((later.acked, later.quantile(0.5)), (101, Duration::ZERO));
    }
}
