//! How long to wait before the next attempt: exponential, bounded, jittered.

use std::time::Duration;

/// Doubles the delay with every failure in a row, and spreads it so that many
/// clients of a restarted server do not come back at one moment.
#[derive(Debug, Clone)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// Delays from about `min` to `max`.
    pub const fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, failures: 0 }
    }

    /// The delay after one more failure: half to all of `min * 2^failures`, at most `max`.
    pub fn next_delay(&mut self) -> Duration {
        let doublings = self.failures.min(31);
        self.failures = self.failures.saturating_add(1);
        let whole = self.min.saturating_mul(1 << doublings).min(self.max.max(self.min));
        whole.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// Forgets the failures: something worked.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Starts from `min` from now on, as the server asked.
    pub fn start_from(&mut self, min: Duration) {
        self.min = min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_maximum_and_start_over_after_a_success() {
        let (min, max) = (Duration::from_millis(200), Duration::from_secs(10));
        let mut backoff = Backoff::new(min, max);
        for whole_ms in [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
            let (delay, whole) = (backoff.next_delay(), Duration::from_millis(whole_ms));
            assert!(delay >= whole / 2 && delay <= whole, "{delay:?} for {whole:?}");
        }
        backoff.reset();
        assert!(backoff.next_delay() <= min);
    }

    #[test]
    fn endless_failures_stay_at_the_maximum() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        let delays: Vec<_> = (0..100).map(|_| backoff.next_delay()).collect();
        assert!(delays.iter().all(|delay| *delay <= Duration::from_secs(30)));
    }
}
