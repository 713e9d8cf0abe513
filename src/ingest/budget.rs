//! The ingest budget: the memory that what has arrived and is not committed yet may take.
//!
//! `--ingest-bytes`, without the append queue's part, is two halves. The first is for messages
//! that have not arrived whole, the second for encoded entries that are not in the append queue
//! yet. Whoever holds memory of the second never waits for the first, and the log always takes
//! entries in the end, so nobody waits for ever. Waiting is fair: first come, first served.
//!
//! Small things need no budget, so that a producer of ordinary lines never waits behind the large
//! messages of others: [`FREE_BYTES`] of each kind are a stream's own.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::counter::Counter;
use crate::permits::{BytePermit, BytePermits};

/// What a stream may hold of an unfinished message, and of encoded entries, without budget, in
/// bytes.
pub const FREE_BYTES: usize = 8 * 1024;

/// One connection may hold this part of the memory for unfinished messages.
const CONNECTION_DIVISOR: usize = 4;

/// The largest message is at least this long, whatever the budget is, in bytes.
pub(super) const LEAST_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// The memory budget of all streams. Clones share it.
#[derive(Debug, Clone)]
pub struct IngestBudget(Arc<SharedBudget>);

#[derive(Debug)]
struct SharedBudget {
    bytes: usize,
    /// The largest message, for which a connection's part has memory.
    message_bytes: usize,
    unfinished: BytePermits,
    encoded: BytePermits,
    /// Messages that got no memory in time.
    refused: Counter,
    /// Messages that did not arrive in time.
    late: Counter,
}

/// Reservation that is held until it is dropped.
pub type Reservation = BytePermit;

impl IngestBudget {
    /// A budget of `bytes`, for messages of `message_bytes` at most.
    pub fn new(bytes: usize, message_bytes: usize) -> Self {
        let (unfinished, encoded) = (BytePermits::new(bytes / 2), BytePermits::new(bytes / 2));
        let (refused, late) = Default::default();
        Self(Arc::new(SharedBudget { bytes, message_bytes, unfinished, encoded, refused, late }))
    }

    /// How many bytes are held now.
    pub fn used_bytes(&self) -> usize {
        self.0.unfinished.used_bytes() + self.0.encoded.used_bytes()
    }

    /// How many bytes may be held.
    pub fn limit_bytes(&self) -> usize {
        self.0.bytes
    }

    /// How many messages got no memory in time.
    pub fn refused(&self) -> u64 {
        self.0.refused.get()
    }

    /// How many messages did not arrive in time.
    pub fn late(&self) -> u64 {
        self.0.late.get()
    }

    /// A new connection's part of the memory for unfinished messages.
    pub fn connection(&self) -> ConnectionBudget {
        let part = self.0.bytes / 2 / CONNECTION_DIVISOR;
        ConnectionBudget {
            all: self.clone(),
            part: BytePermits::new(part.max(self.0.message_bytes)),
        }
    }

    /// Reservation for encoded entries, if there is some at once.
    pub(super) fn try_encoded(&self, bytes: usize) -> Option<Reservation> {
        self.0.encoded.try_acquire(bytes)
    }

    /// Reservation for encoded entries.
    pub(super) fn encoded(&self, bytes: usize) -> BoxFuture<'static, Reservation> {
        self.0.encoded.acquire(bytes).boxed()
    }
}

/// What the streams of one connection may hold of unfinished messages together. Clones share it.
#[derive(Debug, Clone)]
pub struct ConnectionBudget {
    all: IngestBudget,
    part: BytePermits,
}

/// Reservation for an unfinished message: of its connection's part, and of all.
#[derive(Debug)]
pub struct MessageBudget {
    _part: Reservation,
    all: Reservation,
}

impl ConnectionBudget {
    fn try_acquire(&self, bytes: usize) -> Option<MessageBudget> {
        let _part = self.part.try_acquire(bytes)?;
        Some(MessageBudget { _part, all: self.all.0.unfinished.try_acquire(bytes)? })
    }

    fn acquire(&self, bytes: usize) -> BoxFuture<'static, MessageBudget> {
        let (part, all) = (self.part.acquire(bytes), self.all.0.unfinished.acquire(bytes));
        // The part first: while a connection waits for its own streams, it takes no place among
        // those who wait for all.
        async move { MessageBudget { _part: part.await, all: all.await } }.boxed()
    }
}

/// No memory became free in time.
#[derive(Debug, thiserror::Error)]
#[error(
    "a message needs {needed} bytes, and for {} ingest-bytes had no memory left for it",
    humantime::format_duration(*waited)
)]
pub struct NoBudget {
    /// What was asked for.
    needed: usize,
    /// How long.
    waited: Duration,
}

/// One stream's way to memory for its messages.
pub struct StreamBudget {
    connection: ConnectionBudget,
    timeout: Duration,
    unfinished: Option<MessageBudget>,
    waiting: Waiting,
}

/// What a stream waits for.
enum Waiting {
    Nothing,
    /// `None` when no memory came in time.
    Unfinished(BoxFuture<'static, Option<MessageBudget>>),
    Encoded(BoxFuture<'static, Reservation>),
}

impl StreamBudget {
    /// For a stream that waits for `timeout` at most before it may read a message on.
    pub fn new(connection: ConnectionBudget, timeout: Duration) -> Self {
        Self { connection, timeout, unfinished: None, waiting: Waiting::Nothing }
    }

    /// Ready once there is memory for an unfinished message of `bytes`, which is held until
    /// [`StreamBudget::take_unfinished`].
    ///
    /// # Errors
    /// When there is none in time.
    pub fn poll_unfinished(
        &mut self,
        bytes: usize,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), NoBudget>> {
        if bytes <= FREE_BYTES || self.holds(bytes) {
            return Poll::Ready(Ok(()));
        }
        if !matches!(self.waiting, Waiting::Unfinished(_)) {
            self.unfinished = self.connection.try_acquire(bytes);
            if self.unfinished.is_some() {
                return Poll::Ready(Ok(()));
            }
            let budget = in_time(self.timeout, self.connection.acquire(bytes));
            self.waiting = Waiting::Unfinished(budget);
        }
        let Waiting::Unfinished(budget) = &mut self.waiting else { return Poll::Pending };
        self.unfinished = ready!(budget.poll_unpin(context));
        self.waiting = Waiting::Nothing;
        let is_held = self.unfinished.is_some();
        Poll::Ready(if is_held { Ok(()) } else { Err(self.refuse(bytes)) })
    }

    /// Ready with memory for `bytes` of an encoded entry. Commits, and batches that wait in vain for
    /// the queue, give theirs back in any case, so this wait ends.
    pub fn poll_encoded(&mut self, bytes: usize, context: &mut Context<'_>) -> Poll<Reservation> {
        if !matches!(self.waiting, Waiting::Encoded(_)) {
            if let Some(budget) = self.connection.all.try_encoded(bytes) {
                return Poll::Ready(budget);
            }
            self.waiting = Waiting::Encoded(self.connection.all.encoded(bytes));
        }
        let Waiting::Encoded(budget) = &mut self.waiting else { return Poll::Pending };
        let budget = ready!(budget.poll_unpin(context));
        self.waiting = Waiting::Nothing;
        Poll::Ready(budget)
    }

    /// Counts a message that did not arrive in time.
    pub fn count_late(&self) {
        self.connection.all.0.late.add(1);
    }

    /// Takes the unfinished message's budget, to be dropped or held on to.
    pub fn take_unfinished(&mut self) -> Option<MessageBudget> {
        self.unfinished.take()
    }

    fn holds(&self, bytes: usize) -> bool {
        let permitted = self.connection.all.0.unfinished.permitted_bytes(bytes);
        self.unfinished.as_ref().is_some_and(|budget| budget.all.bytes() >= permitted)
    }

    fn refuse(&self, needed: usize) -> NoBudget {
        self.connection.all.0.refused.add(1);
        NoBudget { needed, waited: self.timeout }
    }
}

fn in_time<T: Send + 'static>(
    timeout: Duration,
    budget: BoxFuture<'static, T>,
) -> BoxFuture<'static, Option<T>> {
    async move { tokio::time::timeout(timeout, budget).await.ok() }.boxed()
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const MIB: usize = 1 << 20;

    async fn unfinished(stream: &mut StreamBudget, bytes: usize) -> Result<(), NoBudget> {
        poll_fn(|context| stream.poll_unfinished(bytes, context)).await
    }

    fn stream(connection: &ConnectionBudget) -> StreamBudget {
        StreamBudget::new(connection.clone(), Duration::from_secs(30))
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_takes_its_part_leaves_the_rest_to_others() {
        let budget = IngestBudget::new(64 * MIB, 4 * MIB);
        let (greedy, other) = (budget.connection(), budget.connection());
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut stream = stream(&greedy);
            unfinished(&mut stream, 4 * MIB).await.unwrap();
            held.push(stream);
        }
        let refused = unfinished(&mut stream(&greedy), 4 * MIB).await.unwrap_err().to_string();
        assert_eq!(
            refused,
            "a message needs 4194304 bytes, and for 30s ingest-bytes had no memory left for it"
        );
        assert_eq!((budget.refused(), budget.used_bytes()), (1, 8 * MIB));
        unfinished(&mut stream(&other), 4 * MIB).await.unwrap();
        unfinished(&mut stream(&greedy), FREE_BYTES).await.unwrap();
        held.clear();
        assert_eq!(budget.used_bytes(), 0);
        unfinished(&mut stream(&greedy), 4 * MIB).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn encoded_entries_have_a_half_of_their_own_and_a_larger_one_takes_all_of_it() {
        let budget = IngestBudget::new(8 * MIB, 4 * MIB);
        let connection = budget.connection();
        let mut message = stream(&connection);
        unfinished(&mut message, 4 * MIB).await.unwrap();
        let mut entry = stream(&connection);
        let held = poll_fn(|context| entry.poll_encoded(24 * MIB, context)).await;
        assert_eq!((held.bytes(), budget.used_bytes()), (4 * MIB, 8 * MIB));
        let mut waiting = stream(&connection);
        let mut more = tokio::spawn(async move {
            drop(poll_fn(|context| waiting.poll_encoded(1, context)).await);
        });
        tokio::task::yield_now().await;
        assert!((&mut more).now_or_never().is_none(), "there was no memory");
        drop(held);
        more.await.unwrap();
    }
}
