//! When to commit: at once, or a moment later with more.
//!
//! What a lone entry costs is its commit: two thread switches, a write, an fsync. Where many
//! producers send a little each, waiting a moment shares that cost. Where they wait for their
//! acknowledgements before they send more, waiting gains nothing and slows them down. So the
//! committer tries: it waits as long as waiting gathers enough, and asks again now and then. Nor
//! does it wait where a commit has plenty anyway: entries are cheapest while the cache has them.

use std::time::{Duration, Instant};

/// Batches that a wait must gather to be worth it.
const WORTHWHILE_BATCHES: usize = 8;

/// Entries with which a commit has plenty.
const PLENTY_OF_ENTRIES: usize = 512;

/// Commits made at once after a wait that was not worth it.
const COMMITS_AT_ONCE: u32 = 64;

/// The committer's pace.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    last: Option<Instant>,
    at_once: u32,
}

impl Pace {
    /// Commits at least `interval` apart, while that is worth it.
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, last: None, at_once: 0 }
    }

    /// How long to wait before the next commit; nothing after a pause of an interval.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let since = now.saturating_duration_since(self.last?);
        let left = self.interval.checked_sub(since)?;
        (self.at_once == 0 && !left.is_zero()).then_some(left)
    }

    /// Notes a commit of so many batches and entries, begun at `now`, after a wait or not.
    pub(super) fn note(&mut self, now: Instant, waited: bool, (batches, entries): (usize, usize)) {
        self.last = Some(now);
        let in_vain = batches < WORTHWHILE_BATCHES || entries >= PLENTY_OF_ENTRIES;
        if waited && in_vain {
            self.at_once = COMMITS_AT_ONCE;
        } else if !waited {
            self.at_once = self.at_once.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(4);

    #[test]
    fn the_first_commit_and_one_after_a_pause_are_made_at_once() {
        let start = Instant::now();
        let mut pace = Pace::new(INTERVAL);
        assert_eq!(pace.wait(start), None);
        pace.note(start, false, (1, 1));
        assert_eq!(pace.wait(start + INTERVAL), None);
        let left = pace.wait(start + Duration::from_millis(1));
        assert_eq!(left, Some(Duration::from_millis(3)));
    }

    #[test]
    fn a_wait_that_gathers_too_little_is_not_repeated_for_a_while() {
        let start = Instant::now();
        let mut pace = Pace::new(INTERVAL);
        pace.note(start, true, (WORTHWHILE_BATCHES, 20));
        assert!(pace.wait(start).is_some());
        pace.note(start, true, (WORTHWHILE_BATCHES - 1, 20));
        for _ in 0..COMMITS_AT_ONCE {
            assert_eq!(pace.wait(start), None);
            pace.note(start, false, (1, 1));
        }
        assert!(pace.wait(start).is_some());
    }
    #[test]
    fn where_a_commit_has_plenty_there_is_no_wait_for_a_while() {
        let start = Instant::now();
        let mut pace = Pace::new(INTERVAL);
        pace.note(start, true, (WORTHWHILE_BATCHES, PLENTY_OF_ENTRIES));
        assert_eq!(pace.wait(start), None);
    }
}
