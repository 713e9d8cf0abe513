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

/// The wait after an accept that failed for want of resources, such as file descriptors.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// Connections that may wait for one thread.
const QUEUED_CONNECTIONS: usize = 128;

/// Where a thread's connections go in.
pub(super) type Sender = mpsc::Sender<StdTcpStream>;

/// The connections that one thread serves.
pub(super) type Connections = BoxStream<'static, TcpStream>;

/// A thread's queue of a port's connections.
pub(super) fn queue() -> (Sender, Connections) {
    let (sender, receiver) = mpsc::channel(QUEUED_CONNECTIONS);
    // Registered with the runtime that polls the stream, which is the thread's.
    let connections = ReceiverStream::new(receiver).filter_map(|connection| async {
        TcpStream::from_std(connection)
            .inspect_err(|error| tracing::warn!(%error, "a connection could not be taken over"))
            .ok()
    });
    (sender, connections.boxed())
}

/// Deals `listener`'s connections out to `threads` until `drain` is cancelled.
pub(super) async fn deal(listener: TcpListener, threads: Vec<Sender>, drain: CancellationToken) {
    for thread in threads.iter().cycle() {
        let Some(connection) = accept(&listener, &drain).await else { return };
        match connection.into_std() {
            // It fails only when the thread's server has ended, which ends the whole server.
            Ok(connection) => drop(thread.send(connection).await),
            Err(error) => tracing::warn!(%error, "a connection could not be handed over"),
        }
    }
}

/// The next connection; `None` once draining.
async fn accept(listener: &TcpListener, drain: &CancellationToken) -> Option<TcpStream> {
    loop {
        let accepted = tokio::select! {
            biased;
            () = drain.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((connection, _)) => return Some(connection),
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
