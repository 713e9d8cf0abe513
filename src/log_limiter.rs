//! How often something is logged, so that nobody can fill the log with it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// For what clients do: lines of one kind at once, and the time after which there may be one more.
const CLIENT_BURST: u32 = 50;
const CLIENT_INTERVAL: Duration = Duration::from_millis(200);

/// Logs something so often at most, and counts what is not logged. Any thread may use it.
#[derive(Debug)]
pub struct LogLimiter {
    /// Lines at once.
    burst: u32,
    /// After so long there may be one more.
    interval: Duration,
    state: Mutex<LimiterState>,
}

#[derive(Debug)]
struct LimiterState {
    /// Lines that there may be now.
    left: u32,
    /// Since when the next one is awaited.
    since: Option<Instant>,
    unlogged: u64,
}

impl LogLimiter {
    /// `burst` lines at once, and one more after each `interval`.
    pub fn new(burst: u32, interval: Duration) -> Self {
        let state = LimiterState { left: burst, since: None, unlogged: 0 };
        Self { burst, interval, state: Mutex::new(state) }
    }

    /// Writes a line with `write` where there may be one, with how often it happened since the last
    /// line, this time included.
    pub fn log(&self, write: impl FnOnce(u64)) {
        if let Some(count) = self.count() {
            write(count);
        }
    }

    fn count(&self) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.unlogged += 1;
        state.refill(Instant::now(), self.burst, self.interval);
        state.left = state.left.checked_sub(1)?;
        Some(std::mem::take(&mut state.unlogged))
    }
}

impl Default for LogLimiter {
    /// For what a client does, of which each may be worth a line.
    fn default() -> Self {
        Self::new(CLIENT_BURST, CLIENT_INTERVAL)
    }
}

impl LimiterState {
    fn refill(&mut self, now: Instant, burst: u32, interval: Duration) {
        if self.left == burst {
            self.since = Some(now);
            return;
        }
        let since = *self.since.get_or_insert(now);
        let waited = now.saturating_duration_since(since);
        let more = waited.as_nanos() / interval.as_nanos().max(1);
        let more = u32::try_from(more).unwrap_or(u32::MAX).min(burst - self.left);
        self.left += more;
        self.since = Some(if self.left == burst { now } else { since + interval * more });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    fn logged(limiter: &LogLimiter, times: usize) -> Vec<u64> {
        let mut logged = Vec::new();
        (0..times).for_each(|_| limiter.log(|count| logged.push(count)));
        logged
    }

    #[tokio::test(start_paused = true)]
    async fn what_happens_often_is_logged_once_in_a_while_with_how_often_it_was() {
        let limiter = LogLimiter::new(1, INTERVAL);
        assert_eq!(logged(&limiter, 5), [1]);
        tokio::time::advance(INTERVAL).await;
        assert_eq!(logged(&limiter, 1), [5]);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_burst_there_is_one_line_an_interval_and_after_a_pause_a_burst_again() {
        let limiter = LogLimiter::new(3, INTERVAL);
        assert_eq!(logged(&limiter, 9), [1, 1, 1]);
        tokio::time::advance(INTERVAL * 3 / 2).await;
        assert_eq!(logged(&limiter, 2), [7]);
        tokio::time::advance(INTERVAL / 2).await;
        assert_eq!(logged(&limiter, 2), [2]);
        tokio::time::advance(INTERVAL * 100).await;
        assert_eq!(logged(&limiter, 4), [2, 1, 1]);
    }
}
