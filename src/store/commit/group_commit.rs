//! When to commit: at once, or a moment later with more.
//!
//! What a lone entry costs is its commit: two thread switches, a write, an fsync. Where many
//! producers send a little each, waiting a moment shares that cost. Where they wait for their
//! acknowledgements before they send more, waiting gains nothing and slows them down. So the
//! committer tries: it waits as long as waiting brings enough, and asks again now and then.
//!
//! Nor does it wait longer than until a commit has plenty: entries are cheapest while the cache
//! has them. The faster they come, the closer the commits.

use std::time::{Duration, Instant};

/// Batches that a wait must bring to be worth it.
const WORTHWHILE_BATCHES: usize = 4;

/// Entries with which a commit has plenty.
const PLENTY_OF_ENTRIES: u32 = 512;

/// Where so many entries come in an interval, commits may be two intervals apart.
const MANY_ENTRIES: u32 = 16;

/// Shorter waits cost more than they save.
const SHORTEST_WAIT: Duration = Duration::from_micros(100);

/// Commits made at once after a delay that was not worth it; twice as many after each further one.
const COMMITS_AT_ONCE: u32 = 64;
const MOST_COMMITS_AT_ONCE: u32 = 1024;

/// How long commits are delayed.
#[derive(Debug)]
pub(super) struct CommitDelay {
    /// The greatest distance between commits that is waited for, where not many entries come.
    interval: Duration,
    /// The distance in which plenty of entries come, as far as is known.
    distance: Duration,
    last: Option<Instant>,
    at_once: u32,
    /// How many commits are made at once after the next wait that is not worth it.
    next_at_once: u32,
}

/// How much one commit takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct CommitSize {
    pub(super) batches: usize,
    /// The entries of them that are kept.
    pub(super) entries: usize,
}

impl CommitDelay {
    /// Commits up to `interval` apart, while that is worth it.
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, distance: interval, last: None, at_once: 0, next_at_once: COMMITS_AT_ONCE }
    }

    /// How long to wait before the next commit; nothing after a pause.
    pub(super) fn before_next(&self, now: Instant) -> Option<Duration> {
        let since = now.saturating_duration_since(self.last?);
        let left = self.distance.checked_sub(since)?;
        (self.at_once == 0 && left >= SHORTEST_WAIT).then_some(left)
    }

    /// Notes a commit of this size, begun at `now`, after a wait or not.
    pub(super) fn note(&mut self, now: Instant, waited: bool, size: CommitSize) {
        let CommitSize { batches, entries } = size;
        if let Some(last) = self.last.replace(now) {
            self.fit(now.saturating_duration_since(last), entries);
        }
        if !waited {
            self.at_once = self.at_once.saturating_sub(1);
        } else if batches < WORTHWHILE_BATCHES {
            self.at_once = self.next_at_once;
            self.next_at_once = (2 * self.next_at_once).min(MOST_COMMITS_AT_ONCE);
        } else {
            self.next_at_once = COMMITS_AT_ONCE;
        }
    }

    /// Moves the distance halfway to the one that would have brought plenty.
    fn fit(&mut self, took: Duration, entries: usize) {
        let entries = u32::try_from(entries).unwrap_or(u32::MAX).max(1);
        let fitting = took.saturating_mul(PLENTY_OF_ENTRIES) / entries;
        let are_many = took.saturating_mul(MANY_ENTRIES) <= self.interval.saturating_mul(entries);
        let greatest = if are_many { 2 * self.interval } else { self.interval };
        self.distance = (self.distance + fitting.min(greatest)) / 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(4);

    fn size(batches: usize, entries: usize) -> CommitSize {
        CommitSize { batches, entries }
    }

    #[test]
    fn the_first_commit_and_one_after_a_pause_are_made_at_once() {
        let start = Instant::now();
        let mut delay = CommitDelay::new(INTERVAL);
        assert_eq!(delay.before_next(start), None);
        delay.note(start, false, size(1, 1));
        assert_eq!(delay.before_next(start + INTERVAL), None);
        let left = delay.before_next(start + Duration::from_millis(1));
        assert_eq!(left, Some(Duration::from_millis(3)));
    }

    #[test]
    fn a_wait_that_brings_too_little_is_not_repeated_for_a_while() {
        let mut now = Instant::now();
        let mut delay = CommitDelay::new(INTERVAL);
        delay.note(now, true, size(WORTHWHILE_BATCHES, 20));
        assert!(delay.before_next(now).is_some());
        delay.note(now + INTERVAL, true, size(WORTHWHILE_BATCHES - 1, 20));
        let mut commits_until_next_wait = || {
            let first = now;
            while delay.before_next(now).is_none() {
                now += INTERVAL / 4;
                delay.note(now, false, size(1, 1));
            }
            delay.note(now, true, size(1, 1));
            ((now - first).as_micros() / (INTERVAL / 4).as_micros()) as u32
        };
        let commits: Vec<_> = (0..6).map(|_| commits_until_next_wait()).collect();
        let expected = [1, 2, 4, 8, 16, 16].map(|times| times * COMMITS_AT_ONCE);
        assert_eq!(commits, expected);
    }

    /// The delay after many commits `distance` apart, of so many entries each.
    fn after(distance: Duration, entries: usize) -> (CommitDelay, Instant) {
        let (mut delay, mut now) = (CommitDelay::new(INTERVAL), Instant::now());
        for _ in 0..32 {
            now += distance;
            delay.note(now, true, size(WORTHWHILE_BATCHES, entries));
        }
        (delay, now)
    }

    #[test]
    fn commits_come_as_close_as_each_has_plenty_and_no_farther_apart_than_they_may() {
        let plenty = PLENTY_OF_ENTRIES as usize;
        let (delay, now) = after(INTERVAL, 2 * plenty);
        let wait = delay.before_next(now).unwrap();
        assert!(wait.abs_diff(INTERVAL / 2) < Duration::from_micros(1), "{wait:?}");
        let many = MANY_ENTRIES as usize;
        for (entries, expected) in [(many, 2 * INTERVAL), (many - 1, INTERVAL)] {
            let (delay, now) = after(INTERVAL, entries);
            let wait = delay.before_next(now).unwrap();
            assert!(wait.abs_diff(expected) < Duration::from_micros(1), "{entries}: {wait:?}");
        }
    }

    #[test]
    fn where_plenty_comes_at_once_there_is_no_wait() {
        let (delay, now) = after(SHORTEST_WAIT, 2 * PLENTY_OF_ENTRIES as usize);
        assert_eq!(delay.before_next(now), None);
    }
}
