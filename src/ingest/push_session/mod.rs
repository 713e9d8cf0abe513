//! One producer's stream: messages in, batches to the log, acks out.
//!
//! # What it guarantees
//! - Acks come in the order of the entries, and an entry is acknowledged as kept only when its
//!   batch is durable.
//! - When the producer cancels, what has arrived is kept all the same: a session that is dropped
//!   before its end goes on as a task of its own until the inbound stream ends.
//! - While nothing waits, the last ACK comes again from time to time, so that no proxy cuts the
//!   stream ([`idle_ack`]).
//! - Unfinished lines are shown once everything before them is kept, and until their line or the
//!   end of the stream comes ([`unfinished`]). They have no number in the stream and get no ack.
//! - It holds at most [`MAX_IN_FLIGHT`] batches of `BATCH_BYTES` and one that waits for the log's
//!   queue; while one waits, nothing more is read.
//!
//! No task and no channel per stream: the transport polls the session for acks, and the
//! session polls the inbound stream.
//!
//! [`MAX_IN_FLIGHT`]: state::MAX_IN_FLIGHT

mod gap_interval;
mod idle_ack;
mod in_flight;
mod state;
mod stream_log;
#[cfg(test)]
mod tests;
mod throttle;
mod unfinished;

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;

use super::acks::{Ack, AckMode};
use super::intake::{Intake, StreamPermit};
use super::reader::IncomingEntry;
pub use state::SessionEnd;
use state::SessionState;

/// One producer's stream, as a stream of acks.
pub struct PushSession<S, E>
where
    S: Stream<Item = Result<IncomingEntry, E>> + Unpin + Send + 'static,
    E: Send + 'static,
{
    /// `None` once the session has ended.
    state: Option<SessionState<S, E>>,
}

impl<S, E> PushSession<S, E>
where
    S: Stream<Item = Result<IncomingEntry, E>> + Unpin + Send + 'static,
    E: Send + 'static,
{
    /// A session that reads `inbound`.
    pub fn new(intake: Intake, permit: StreamPermit, mode: AckMode, inbound: S) -> Self {
        Self { state: Some(SessionState::new(intake, permit, mode, inbound)) }
    }

    /// The same, with who is told to have sent it in the process's log.
    #[must_use]
    pub fn of_peer(mut self, peer: Option<SocketAddr>) -> Self {
        if let Some(state) = &mut self.state {
            state.log.peer = peer;
        }
        self
    }
}

impl<S, E> Unpin for PushSession<S, E>
where
    S: Stream<Item = Result<IncomingEntry, E>> + Unpin + Send + 'static,
    E: Send + 'static,
{
}

impl<S, E> Stream for PushSession<S, E>
where
    S: Stream<Item = Result<IncomingEntry, E>> + Unpin + Send + 'static,
    E: Send + 'static,
{
    type Item = Result<Ack, SessionEnd<E>>;

    /// An `Err` is the last item.
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(state) = &mut self.state else { return Poll::Ready(None) };
        let item = ready!(state.poll_ack(context));
        if !matches!(item, Some(Ok(_))) {
            self.state = None;
        }
        Poll::Ready(item)
    }
}

impl<S, E> Drop for PushSession<S, E>
where
    S: Stream<Item = Result<IncomingEntry, E>> + Unpin + Send + 'static,
    E: Send + 'static,
{
    /// The producer cancelled, or the transport gave up: keeps what has arrived.
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Its own poll panicked, and would again.
            return;
        }
        let Some(mut state) = self.state.take().filter(|state| !state.is_done()) else { return };
        tokio::spawn(async move {
            while std::future::poll_fn(|context| state.poll_ack(context)).await.is_some() {}
        });
    }
}
