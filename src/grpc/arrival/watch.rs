//! Ends a call whose message does not arrive.
//!
//! A message must go on arriving, and be whole in a time that grows with its length. The clock is
//! looked at once a period only, so watching costs nothing while messages come.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};
use tonic::Status;

/// A message of which nothing arrives for a whole period ends its call.
const PERIOD: Duration = Duration::from_secs(15);

/// The periods that every message has.
const LEAST_PERIODS: usize = 2;

/// A message has one period more for each so many bytes of its length.
const BYTES_PER_PERIOD: usize = 1024 * 1024;

/// What has arrived of a call's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::grpc) struct Progress {
    /// How many messages are whole.
    pub(in crate::grpc) messages: u64,
    /// Bytes of the next.
    pub(in crate::grpc) bytes: usize,
}

/// Watches one call.
#[derive(Debug, Default)]
pub(in crate::grpc) struct ArrivalWatch(Option<Box<Watched>>);

#[derive(Debug)]
struct Watched {
    timer: Pin<Box<Sleep>>,
    /// At the beginning of the period.
    seen: Progress,
    /// Periods that began with this message unfinished.
    periods: usize,
}

impl ArrivalWatch {
    /// Called while a message of `length` bytes is unfinished and nothing more is there; ready
    /// with why the call ends.
    pub(in crate::grpc) fn poll(
        &mut self,
        seen: Progress,
        length: usize,
        context: &mut Context<'_>,
    ) -> Poll<Status> {
        let watched = self.0.get_or_insert_with(|| {
            Box::new(Watched { timer: Box::pin(sleep(PERIOD)), seen, periods: 0 })
        });
        loop {
            ready!(watched.timer.as_mut().poll(context));
            if let Some(status) = watched.on_period(seen, length) {
                return Poll::Ready(status);
            }
        }
    }

    /// Whether there is a timer; it must be polled on while a message is unfinished.
    pub(in crate::grpc) fn forget(&mut self) {
        self.0 = None;
    }
}

impl Watched {
    fn on_period(&mut self, seen: Progress, length: usize) -> Option<Status> {
        let arrived = seen.bytes;
        if seen == self.seen {
            let reason = format!(
                "nothing came for {PERIOD:?} after {arrived} bytes of a message of {length}"
            );
            return Some(Status::deadline_exceeded(reason));
        }
        self.periods = if seen.messages == self.seen.messages { self.periods + 1 } else { 0 };
        let allowed = LEAST_PERIODS + length / BYTES_PER_PERIOD;
        if self.periods >= allowed {
            let waited = PERIOD * u32::try_from(allowed).unwrap_or(u32::MAX);
            let reason =
                format!("{arrived} bytes of a message of {length} came in {waited:?}, all must");
            return Some(Status::deadline_exceeded(reason));
        }
        self.seen = seen;
        self.timer.as_mut().reset(Instant::now() + PERIOD);
        None
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::timeout;

    use super::*;

    async fn ends(watch: &mut ArrivalWatch, messages: u64, bytes: usize) -> Option<Status> {
        let seen = Progress { messages, bytes };
        let end = poll_fn(|context| watch.poll(seen, 100, context));
        timeout(PERIOD - Duration::from_secs(1), end).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_stops_or_takes_too_long_ends_the_call_and_a_stream_of_them_does_not() {
        let mut watch = ArrivalWatch::default();
        for messages in 0..20 {
            assert!(ends(&mut watch, messages, 1).await.is_none());
        }
        assert!(ends(&mut watch, 20, 1).await.is_none());
        let mut trickle = 1;
        let end = loop {
            trickle += 1;
            if let Some(status) = ends(&mut watch, 20, trickle).await {
                break status;
            }
        };
        assert!(
            end.message().ends_with("bytes of a message of 100 came in 30s, all must"),
            "{end}"
        );
        watch.forget();
        assert!(ends(&mut watch, 21, 7).await.is_none());
        let end = loop {
            if let Some(status) = ends(&mut watch, 21, 7).await {
                break status;
            }
        };
        assert_eq!(end.message(), "nothing came for 15s after 7 bytes of a message of 100");
        assert_eq!(end.code(), tonic::Code::DeadlineExceeded);
    }
}
