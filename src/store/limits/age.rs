//! How much may be deleted for its age at once: a clock that is wrong must not empty the log.
//!
//! Age is told by the clock on the wall, and that may be set to any time. See
//! `docs/adr/0015-clock-steps.md` for the rule.

use std::time::{Duration, Instant};

use crate::store::format::Millis;

/// A clock that is ahead by more than this has been set, or the server was off for as long.
const STEP: Duration = Duration::from_secs(24 * 60 * 60);

/// How long nothing is deleted for its age after that.
const HOLD: Duration = Duration::from_secs(60 * 60);

/// One pass may delete this part of the segments, at least one.
const SEGMENTS_DIVISOR: usize = 10;

/// How far apart passes are: this part of the age that is kept, within these bounds.
const AGE_DIVISOR: u32 = 20;
const SHORTEST_PASS: Duration = Duration::from_secs(1);
const LONGEST_PASS: Duration = Duration::from_secs(60);

/// How much may be deleted for its age now.
#[derive(Debug)]
pub(in crate::store) struct AgeLimit {
    pass: Duration,
    /// What the clocks showed when they were compared last.
    compared: (Instant, Millis),
    held_until: Option<Instant>,
    next_pass: Instant,
    /// How many segments this pass may still delete.
    left: usize,
}

impl AgeLimit {
    /// The limit for what is deleted when it is older than `age`; `newest` is when the newest entry
    /// was committed, as far as that is known.
    pub(in crate::store) fn new(age: Duration, now: Instant, newest: Millis) -> Self {
        let pass = (age / AGE_DIVISOR).clamp(SHORTEST_PASS, LONGEST_PASS);
        Self { pass, compared: (now, newest), held_until: None, next_pass: now, left: 0 }
    }

    /// Compares the clocks and begins a pass over `segments` where it is time.
    pub(in crate::store) fn look(&mut self, now: Instant, wall: Millis, segments: usize) {
        let (then, wall_then) = std::mem::replace(&mut self.compared, (now, wall));
        let ahead = wall_then.age_at(wall).saturating_sub(now.saturating_duration_since(then));
        if ahead > STEP {
            self.held_until = Some(now + HOLD);
            tracing::warn!(
                ?ahead, hold = ?HOLD,
                "the clock is far ahead of the log; nothing is deleted for its age for a while"
            );
        }
        if now >= self.next_pass {
            self.next_pass = now + self.pass;
            self.left = (segments / SEGMENTS_DIVISOR).max(1);
        }
        if self.held_until.is_some_and(|until| now < until) {
            self.left = 0;
        }
    }

    /// Whether one more segment may be deleted in this pass.
    pub(in crate::store) fn allows(&self) -> bool {
        self.left > 0
    }

    /// Notes that one was.
    pub(in crate::store) fn note(&mut self) {
        self.left = self.left.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
    const START: Millis = Millis(1_700_000_000_000);

    fn later(by: Duration) -> Millis {
        Millis(START.0 + by.as_millis() as u64)
    }

    /// How many of `segments` a pass deletes that may delete all.
    fn pass(limit: &mut AgeLimit, now: Instant, wall: Millis, segments: usize) -> usize {
        limit.look(now, wall, segments);
        let deleted = (0..segments).take_while(|_| {
            let is_allowed = limit.allows();
            limit.note();
            is_allowed
        });
        deleted.count()
    }

    #[test]
    fn a_pass_deletes_a_tenth_at_least_one_and_the_next_comes_a_minute_later() {
        let now = Instant::now();
        let mut limit = AgeLimit::new(30 * DAY, now, START);
        assert_eq!(pass(&mut limit, now, START, 45), 4);
        let second = Duration::from_secs(1);
        assert_eq!(pass(&mut limit, now + second, later(second), 41), 0);
        let minute = Duration::from_secs(60);
        assert_eq!(pass(&mut limit, now + minute, later(minute), 3), 1);
    }

    #[test]
    fn short_ages_have_short_passes() {
        let now = Instant::now();
        let mut limit = AgeLimit::new(Duration::from_secs(40), now, START);
        assert_eq!(pass(&mut limit, now, START, 3), 1);
        let two = Duration::from_secs(2);
        assert_eq!(pass(&mut limit, now + two, later(two), 3), 1);
    }

    #[test]
    fn a_clock_far_ahead_at_the_start_or_later_holds_everything_for_an_hour() {
        let now = Instant::now();
        let mut started = AgeLimit::new(30 * DAY, now, START);
        assert_eq!(pass(&mut started, now, later(TEN_YEARS), 45), 0);
        let mut running = AgeLimit::new(30 * DAY, now, START);
        assert_eq!(pass(&mut running, now, START, 45), 4);
        for (limit, offset) in [(&mut started, 0), (&mut running, 2)] {
            let at = Duration::from_secs(60 * offset);
            assert_eq!(pass(limit, now + at, later(TEN_YEARS + at), 45), 0);
            let almost = at + HOLD - Duration::from_secs(1);
            assert_eq!(pass(limit, now + almost, later(TEN_YEARS + almost), 45), 0);
            let over = at + HOLD + LONGEST_PASS;
            assert_eq!(pass(limit, now + over, later(TEN_YEARS + over), 45), 4);
        }
    }

    #[test]
    fn a_clock_that_goes_on_or_steps_back_holds_nothing() {
        let now = Instant::now();
        let mut limit = AgeLimit::new(30 * DAY, now, START);
        assert_eq!(pass(&mut limit, now + 5 * DAY, later(5 * DAY), 45), 4);
        let minute = Duration::from_secs(60);
        assert_eq!(pass(&mut limit, now + 5 * DAY + minute, START, 41), 4);
    }
}
