//! Makes a busy runtime thread take its input in fewer, larger portions.
//!
//! At a few thousand entries a second nearly every entry wakes its thread, and waking costs more
//! than the entry does. Network cards solve the same problem by interrupt coalescing. So a thread
//! pauses for a moment before it waits for input, and then takes all that has arrived. It does so
//! as long as a pause brings enough messages. Where it does not, the next attempt comes after
//! twice as many waits: a producer that waits for each ACK gains nothing from a pause.

use std::time::{Duration, Instant};

/// How long a pause is; by so much at most an entry comes later.
const PAUSE: Duration = Duration::from_millis(4);

/// Messages that a pause must bring to be worth it.
const WORTHWHILE_MESSAGES: u64 = 8;

/// How many pauses in a row may bring too little after one that was worth it: input is uneven.
const TOLERATED_PAUSES: u32 = 3;

/// Waits without a pause after the first pause that was not worth it.
const MIN_SKIPPED_WAITS: u32 = 64;

/// Waits without a pause after many that were not worth it.
const MAX_SKIPPED_WAITS: u32 = 64 * 64;

/// Decides for one thread when it pauses.
#[derive(Debug)]
pub(super) struct WakeupCoalescing {
    last: Option<Wait>,
    /// Whether the thread paused before the last wait.
    has_paused: bool,
    /// How many more pauses may bring too little before waits are skipped.
    tolerated: u32,
    /// Waits that are still to come without a pause.
    skip: u32,
    /// How many waits are skipped after the next pause that is not worth it.
    next_skip: u32,
}

/// A wait for input.
#[derive(Debug, Clone, Copy)]
struct Wait {
    at: Instant,
    /// How many messages the thread had read by then.
    messages: u64,
}

impl WakeupCoalescing {
    pub(super) fn new() -> Self {
        Self { last: None, has_paused: false, tolerated: 0, skip: 0, next_skip: MIN_SKIPPED_WAITS }
    }

    /// How long to pause before the wait for input that comes `now`, when the thread has read
    /// `messages` in all.
    pub(super) fn pause(&mut self, now: Instant, messages: u64) -> Option<Duration> {
        let last = self.last.replace(Wait { at: now, messages })?;
        let brought = messages - last.messages;
        if std::mem::take(&mut self.has_paused) {
            self.judge(brought);
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        // Where input comes less often than this, a pause would bring nothing.
        let is_busy = brought > 0 && now.saturating_duration_since(last.at) < 2 * PAUSE;
        self.has_paused = is_busy;
        is_busy.then_some(PAUSE)
    }

    fn judge(&mut self, brought: u64) {
        if brought >= WORTHWHILE_MESSAGES {
            self.next_skip = MIN_SKIPPED_WAITS;
            self.tolerated = TOLERATED_PAUSES;
        } else if self.tolerated > 0 {
            self.tolerated -= 1;
        } else {
            self.skip = self.next_skip;
            self.next_skip = (2 * self.next_skip).min(MAX_SKIPPED_WAITS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits that come `gap` apart, each after so many messages more; how many of them paused.
    fn pauses(
        coalescing: &mut WakeupCoalescing,
        waits: u32,
        gap: Duration,
        messages: u64,
    ) -> usize {
        let last = coalescing.last.unwrap_or(Wait { at: Instant::now(), messages: 0 });
        let (mut now, mut total) = (last.at, last.messages);
        let mut paused = 0;
        for _ in 0..waits {
            now += gap;
            total += messages;
            paused += usize::from(coalescing.pause(now, total).is_some());
        }
        paused
    }

    #[test]
    fn a_thread_pauses_as_long_as_pauses_gather_enough() {
        let mut coalescing = WakeupCoalescing::new();
        assert_eq!(pauses(&mut coalescing, 101, PAUSE, WORTHWHILE_MESSAGES), 100);
    }

    #[test]
    fn pauses_that_gather_too_little_become_rarer_until_they_are_worth_it_again() {
        let mut coalescing = WakeupCoalescing::new();
        let gap = Duration::from_micros(100);
        assert_eq!(pauses(&mut coalescing, 10_000, gap, 1), 8);
        let paused = pauses(&mut coalescing, 2 * MAX_SKIPPED_WAITS, gap, WORTHWHILE_MESSAGES);
        assert!(paused > 4_000, "{paused}");
    }

    #[test]
    fn a_few_pauses_may_gather_too_little_after_a_good_one() {
        let mut coalescing = WakeupCoalescing::new();
        pauses(&mut coalescing, 10, PAUSE, WORTHWHILE_MESSAGES);
        assert_eq!(pauses(&mut coalescing, TOLERATED_PAUSES, PAUSE, 1), TOLERATED_PAUSES as usize);
        assert_eq!(pauses(&mut coalescing, 10, PAUSE, 1), 0);
    }

    #[test]
    fn rare_input_and_wakeups_without_input_cause_no_pause() {
        let mut coalescing = WakeupCoalescing::new();
        assert_eq!(pauses(&mut coalescing, 100, 2 * PAUSE, 1), 0);
        assert_eq!(pauses(&mut coalescing, 100, Duration::from_micros(10), 0), 0);
    }
}
