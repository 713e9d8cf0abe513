//! Accepts a port's connections and deals them out to the runtime threads in turn.

use std::io;
use std::net::TcpStream as StdTcpStream;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use crate::connections::{Accepted, ConnectionPermit, PortLimit};
use crate::log_limiter::LogLimiter;

/// The wait after an accept that failed for want of resources, such as file descriptors.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// Connections that may wait for one thread.
const QUEUED_CONNECTIONS: usize = 128;

/// The least time between two lines of log about connections that were not taken.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// A connection on its way to a thread.
type Queued = (StdTcpStream, ConnectionPermit);

/// Where a thread's connections go in.
pub(super) type Sender = mpsc::Sender<Queued>;

/// The connections that one thread serves.
pub(super) type Connections = BoxStream<'static, Accepted>;

/// A thread's queue of a port's connections.
pub(super) fn queue() -> (Sender, Connections) {
    let (sender, receiver) = mpsc::channel(QUEUED_CONNECTIONS);
    // Registered with the runtime that polls the stream, which is the thread's.
    let connections = ReceiverStream::new(receiver).filter_map(|(stream, permit)| async {
        TcpStream::from_std(stream)
            .inspect_err(|error| tracing::warn!(%error, "a connection could not be taken over"))
            .ok()
            .map(|stream| Accepted { stream, permit })
    });
    (sender, connections.boxed())
}

/// One port's listener, and how many of its connections may be open.
pub(super) struct Port {
    pub(super) listener: TcpListener,
    pub(super) limit: PortLimit,
}

impl Port {
    /// Deals the connections out to `threads` until `drain` is cancelled. Those beyond the limit
    /// are closed at once.
    pub(super) async fn deal(self, threads: Vec<Sender>, drain: CancellationToken) {
        let (refusals, failures) = (log_limiter(), log_limiter());
        for thread in threads.iter().cycle() {
            let connection = loop {
                let accepted = self.accept(&failures, &drain).await;
                let Some(connection) = accepted else { return };
                match self.limit.try_acquire() {
                    Some(permit) => break (connection, permit),
                    None => refusals.log(|refused| {
                        tracing::warn!(refused, "connections refused: as many are open as may be");
                    }),
                }
            };
            hand_over(connection, thread).await;
        }
    }

    /// The next connection; `None` once draining.
    async fn accept(&self, failures: &LogLimiter, drain: &CancellationToken) -> Option<TcpStream> {
        loop {
            let accepted = tokio::select! {
                biased;
                () = drain.cancelled() => return None,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((connection, _)) => return Some(connection),
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    failures.log(|failed| {
                        tracing::warn!(%error, failed, "connections could not be accepted");
                    });
                    tokio::time::sleep(RETRY_DELAY).await;
                }
            }
        }
    }
}

async fn hand_over((connection, permit): (TcpStream, ConnectionPermit), thread: &Sender) {
    match connection.into_std() {
        // It fails only when the thread's server has ended, which ends the whole server.
        Ok(connection) => drop(thread.send((connection, permit)).await),
        Err(error) => tracing::warn!(%error, "a connection could not be handed over"),
    }
}

/// One line at once, and one after each [`LOG_INTERVAL`].
fn log_limiter() -> LogLimiter {
    LogLimiter::new(1, LOG_INTERVAL)
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
