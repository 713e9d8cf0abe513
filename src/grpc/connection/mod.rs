//! A producer's connection: it is read in turns, and closed with some delay.

mod closing;
mod pacing;

use tokio::net::TcpStream;

use crate::ingest::ConnectionRoom;
use closing::ClosingConnection;
use pacing::PacedConnection;

/// What tonic serves.
pub(super) type Connection = PacedConnection<ClosingConnection>;

/// Its streams share `room`.
pub(super) fn new(stream: TcpStream, room: ConnectionRoom) -> Connection {
    PacedConnection::new(ClosingConnection::new(stream), room)
}
