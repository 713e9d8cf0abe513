//! When busy sessions read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Moments at even intervals at which all busy sessions of a runtime read. One timer wakes them
/// together, so that they find the same entries; it runs only while a session waits.
///
/// Each runtime has ticks of its own: waking a task of another thread costs a system call.
#[derive(Debug, Clone)]
pub struct Ticks(Arc<TickClock>);

#[derive(Debug)]
struct TickClock {
    first: Instant,
    period: Duration,
    /// How many ticks there were.
    passed: AtomicU64,
    /// Whether the timer of the next tick runs.
    is_armed: AtomicBool,
    ticked: Notify,
}

/// The number of a tick; a session keeps that of its last read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tick(u64);

impl Ticks {
    /// Ticks every `period` from now on.
    pub fn every(period: Duration) -> Self {
        Self(Arc::new(TickClock {
            first: Instant::now(),
            period,
            passed: AtomicU64::new(0),
            is_armed: AtomicBool::new(false),
            ticked: Notify::new(),
        }))
    }

    /// Ticks of the same period, for another runtime.
    #[must_use]
    pub fn for_another_runtime(&self) -> Self {
        Self::every(self.0.period)
    }

    /// The last tick so far.
    pub(super) fn last(&self) -> Tick {
        Tick(self.0.passed.load(Ordering::Acquire))
    }

    /// Waits for a tick after `last`.
    pub(super) async fn after(&self, last: Tick) {
        let ticked = self.0.ticked.notified();
        if self.last() != last {
            return;
        }
        self.arm();
        ticked.await;
    }

    fn arm(&self) {
        if self.0.is_armed.swap(true, Ordering::AcqRel) {
            return;
        }
        let clock = Arc::clone(&self.0);
        tokio::spawn(async move {
            sleep_until(clock.next(Instant::now())).await;
            clock.is_armed.store(false, Ordering::Release);
            clock.passed.fetch_add(1, Ordering::AcqRel);
            clock.ticked.notify_waiters();
        });
    }
}

impl TickClock {
    /// The first tick after `now`.
    fn next(&self, now: Instant) -> Instant {
        let since_first = now.saturating_duration_since(self.first).as_nanos();
        let since_tick = since_first % self.period.as_nanos().max(1);
        now + self.period - Duration::from_nanos(since_tick as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(10);

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_are_woken_at_the_same_tick_whenever_they_began_to() {
        let (ticks, start) = (Ticks::every(PERIOD), Instant::now());
        let late = async {
            tokio::time::sleep(Duration::from_millis(7)).await;
            ticks.after(ticks.last()).await;
            start.elapsed()
        };
        let early = async {
            ticks.after(ticks.last()).await;
            start.elapsed()
        };
        assert_eq!(tokio::join!(early, late), (PERIOD, PERIOD));
        let (last, begun) = (ticks.last(), start.elapsed());
        ticks.after(last).await;
        assert_eq!(start.elapsed() - begun, PERIOD);
    }

    #[tokio::test(start_paused = true)]
    async fn a_tick_that_has_passed_is_not_waited_for() {
        let ticks = Ticks::every(PERIOD);
        let read_at = ticks.last();
        ticks.after(read_at).await;
        let now = Instant::now();
        ticks.after(read_at).await;
        assert_eq!(Instant::now(), now);
    }
}
