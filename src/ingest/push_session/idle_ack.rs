//! Says an idle stream's last ACK again, before a proxy takes the stream for dead and cuts it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use super::super::acks::{Ack, AckStatus};

/// When a stream is told again that its last kept entry is kept.
///
/// The timer is made when the stream is idle for the first time, and then runs on: an ack only
/// leaves a mark, and a timer that rings and finds one begins anew. So the time between an ack and
/// its repeat is one to two periods, and an ack costs no more than the mark.
#[derive(Debug)]
pub(super) struct IdleAck {
    period: Duration,
    /// The sequence of the last entry with an ACK; 0 while there is none.
    last_kept: u64,
    /// Whether something was sent since the timer began.
    has_sent: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

impl IdleAck {
    /// Lets a stream be silent for `silence` at most.
    pub(super) fn new(silence: Duration) -> Self {
        Self { period: silence / 2, last_kept: 0, has_sent: false, timer: None }
    }

    /// Notes that `ack` is sent.
    pub(super) fn note(&mut self, ack: &Ack) {
        self.has_sent = true;
        if ack.status == AckStatus::Kept {
            self.last_kept = ack.sequence;
        }
    }

    /// The repeat when it is due; to be polled while nothing waits for an ack. Without an ACK there
    /// is nothing that could be said again.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Ack> {
        if self.last_kept == 0 {
            return Poll::Pending;
        }
        let period = self.period;
        loop {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(period)));
            ready!(timer.as_mut().poll(context));
            timer.as_mut().reset(Instant::now() + period);
            let was_silent = !self.has_sent;
            // The repeat is something sent, too.
            self.has_sent = was_silent;
            if was_silent {
                let (sequence, status) = (self.last_kept, AckStatus::StillHere);
                return Poll::Ready(Ack { sequence, status, throttle_ms: 0 });
            }
        }
    }
}
