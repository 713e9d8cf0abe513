//! How often a worker looks for what producers have sent.
//!
//! At some thousand entries a second nearly every entry wakes its worker, and waking costs more
//! than the entry does. Network cards know the trouble, and the remedy: interrupt wakeup_coalescing. So
//! before it waits for input, a worker pauses for a moment and then takes all that has come. It
//! does so as long as a pause gathers enough, and tries again ever more seldom where it did not:
//! a producer that waits for each acknowledgement gains nothing from it.

use std::time::{Duration, Instant};

/// How long a pause is; what an entry waits more, at most.
const PAUSE: Duration = Duration::from_millis(4);

/// Messages that a pause must gather to be worth it.
const WORTHWHILE_MESSAGES: u64 = 8;

/// Pauses in vain in a row that are forgiven after one that was worth it: input is uneven.
const FORGIVEN: u32 = 3;

/// Waits without a pause after the first one that was not worth it, and after many.
const LEAST_WAITS: u32 = 64;
const MOST_WAITS: u32 = 64 * 64;

/// The wakeup_coalescing of one worker.
#[derive(Debug)]
pub(super) struct WakeupCoalescing {
    /// The last wait: when, and how many messages had been read by then.
    last: Option<(Instant, u64)>,
    has_paused: bool,
    /// Pauses in vain that are still forgiven.
    forgiven: u32,
    /// Waits that are still to come without a pause, and how many there will be next time.
    without: u32,
    next_without: u32,
}

impl WakeupCoalescing {
    pub(super) fn new() -> Self {
        Self { last: None, has_paused: false, forgiven: 0, without: 0, next_without: LEAST_WAITS }
    }

    /// How long to pause before the wait for input that is due `now`, when the worker has read
    /// `messages` in all.
    pub(super) fn pause(&mut self, now: Instant, messages: u64) -> Option<Duration> {
        let (then, before) = self.last.replace((now, messages))?;
        let gathered = messages - before;
        if std::mem::take(&mut self.has_paused) {
            self.judge(gathered);
        }
        if self.without > 0 {
            self.without -= 1;
            return None;
        }
        // Input that comes more seldom than pauses would end gains nothing from one.
        let is_busy = gathered > 0 && now.saturating_duration_since(then) < 2 * PAUSE;
        self.has_paused = is_busy;
        is_busy.then_some(PAUSE)
    }

    fn judge(&mut self, gathered: u64) {
        if gathered >= WORTHWHILE_MESSAGES {
            self.next_without = LEAST_WAITS;
            self.forgiven = FORGIVEN;
        } else if self.forgiven > 0 {
            self.forgiven -= 1;
        } else {
            self.without = self.next_without;
            self.next_without = (2 * self.next_without).min(MOST_WAITS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits that come `gap` apart, each after so many messages more; how many of them paused.
    fn pauses(
        wakeup_coalescing: &mut WakeupCoalescing,
        waits: u32,
        gap: Duration,
        messages: u64,
    ) -> usize {
        let (mut now, mut total) = wakeup_coalescing.last.unwrap_or((Instant::now(), 0));
        let mut paused = 0;
        for _ in 0..waits {
            now += gap;
            total += messages;
            paused += usize::from(wakeup_coalescing.pause(now, total).is_some());
        }
        paused
    }

    #[test]
    fn a_worker_pauses_as_long_as_pauses_gather_enough() {
        let mut wakeup_coalescing = WakeupCoalescing::new();
        assert_eq!(pauses(&mut wakeup_coalescing, 101, PAUSE, WORTHWHILE_MESSAGES), 100);
    }

    #[test]
    fn pauses_in_vain_become_ever_more_seldom_and_are_found_worthwhile_again() {
        let mut wakeup_coalescing = WakeupCoalescing::new();
        let gap = Duration::from_micros(100);
        assert_eq!(pauses(&mut wakeup_coalescing, 10_000, gap, 1), 8);
        let paused = pauses(&mut wakeup_coalescing, 2 * MOST_WAITS, gap, WORTHWHILE_MESSAGES);
        assert!(paused > 4_000, "{paused}");
    }

    #[test]
    fn a_few_pauses_in_vain_are_forgiven_after_a_good_one() {
        let mut wakeup_coalescing = WakeupCoalescing::new();
        pauses(&mut wakeup_coalescing, 10, PAUSE, WORTHWHILE_MESSAGES);
        assert_eq!(pauses(&mut wakeup_coalescing, FORGIVEN, PAUSE, 1), FORGIVEN as usize);
        assert_eq!(pauses(&mut wakeup_coalescing, 10, PAUSE, 1), 0);
    }

    #[test]
    fn rare_input_and_wakes_without_input_pause_nothing() {
        let mut wakeup_coalescing = WakeupCoalescing::new();
        assert_eq!(pauses(&mut wakeup_coalescing, 100, 2 * PAUSE, 1), 0);
        assert_eq!(pauses(&mut wakeup_coalescing, 100, Duration::from_micros(10), 0), 0);
    }
}
