//! Accepts a port's connections and deals them out to the runtime_threads in turn.

use std::io;
use std::net::TcpStream as StdTcpStream;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

/// The wait after an accept that failed for want of resources.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections that may wait for one worker.
const WAITING: usize = 128;

/// A worker's share of a port.
pub(super) fn share() -> (mpsc::Sender<StdTcpStream>, impl Stream<Item = TcpStream> + Send) {
    let (sender, receiver) = mpsc::channel(WAITING);
    // Registered with the runtime that polls the stream: the worker's.
    let connections = ReceiverStream::new(receiver).filter_map(|connection| async {
        TcpStream::from_std(connection)
            .inspect_err(|error| tracing::warn!(%error, "a connection could not be taken over"))
            .ok()
    });
    (sender, connections)
}

/// Deals `listener`'s connections out until `drain` is cancelled.
pub(super) async fn deal(
    listener: TcpListener,
    shares: Vec<mpsc::Sender<StdTcpStream>>,
    drain: CancellationToken,
) {
    for share in shares.iter().cycle() {
        let Some(connection) = accept(&listener, &drain).await else { return };
        match connection.into_std() {
            // A share that is gone means that its worker has ended, which ends the server.
            Ok(connection) => drop(share.send(connection).await),
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
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
