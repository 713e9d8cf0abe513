//! A producer's connection: it is read in turns, its resets are told from ends, it is closed with
//! some delay, and ended by force when the server cannot wait any longer.

mod closing;
mod disconnecting;
mod info;
mod pacing;
mod resets;

use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::connections::ConnectionPermit;
use crate::ingest::ConnectionBudget;
use closing::ClosingConnection;
use disconnecting::DisconnectingConnection;
pub(super) use info::ConnectionInfo;
use pacing::PacedConnection;

/// What tonic serves.
pub(super) type Connection = DisconnectingConnection<PacedConnection<ClosingConnection>>;

/// Serves `stream`, whose streams share `budget`, until its end, or until `disconnect` is cancelled.
pub(super) fn new(
    stream: TcpStream,
    budget: ConnectionBudget,
    permit: ConnectionPermit,
    disconnect: CancellationToken,
) -> Connection {
    let info = ConnectionInfo { budget, peer: stream.peer_addr().ok() };
    let connection = PacedConnection::new(ClosingConnection::new(stream), info);
    DisconnectingConnection::new(connection, permit, disconnect)
}
