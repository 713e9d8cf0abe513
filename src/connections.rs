//! What the server hands to both transports: accepted connections, and how they end.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::counter::Counter;
use crate::permits::{Permit, Permits};

/// One port may have this share of all connections, so that the other is still served: three of
/// four parts.
const PORT_SHARE: (usize, usize) = (3, 4);

/// The two steps in which a server's connections end. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Take nothing new, answer what has arrived, then close.
    pub drain: CancellationToken,
    /// Close now, whatever the peer still does; only after `drain`.
    pub disconnect: CancellationToken,
}

/// An accepted connection.
#[derive(Debug)]
pub struct Accepted {
    /// Its socket.
    pub stream: TcpStream,
    /// To be held for as long as the socket is open.
    pub permit: ConnectionPermit,
}

/// Allows one connection to be open, until it is dropped.
#[derive(Debug)]
pub struct ConnectionPermit {
    _of_port: Permit,
    _of_all: Permit,
}

/// How many connections may be open at once, on all ports together. Clones share it.
#[derive(Debug, Clone)]
pub struct ConnectionLimit(Arc<LimitState>);

#[derive(Debug)]
struct LimitState {
    all: Permits,
    refused: Counter,
}

/// One port's share of the connections.
#[derive(Debug)]
pub struct PortLimit {
    limit: ConnectionLimit,
    port: Permits,
}

impl ConnectionLimit {
    /// At most `limit` connections, and at least one.
    pub fn new(limit: usize) -> Self {
        let all = Permits::new(limit.max(1));
        Self(Arc::new(LimitState { all, refused: Counter::default() }))
    }

    /// The share of one more port.
    pub fn port(&self) -> PortLimit {
        let (share, of) = PORT_SHARE;
        let port = self.limit().saturating_mul(share).div_ceil(of);
        PortLimit { limit: self.clone(), port: Permits::new(port) }
    }

    /// How many may be open at once.
    pub fn limit(&self) -> usize {
        self.0.all.limit()
    }

    /// How many are open now.
    pub fn open(&self) -> usize {
        self.0.all.in_use()
    }

    /// How many were refused.
    pub fn refused(&self) -> u64 {
        self.0.refused.get()
    }
}

impl PortLimit {
    /// A permit for one more connection; `None`, and counted, when it is to be refused.
    pub fn try_acquire(&self) -> Option<ConnectionPermit> {
        let permits = self.port.try_acquire().zip(self.limit.0.all.try_acquire());
        if permits.is_none() {
            self.limit.0.refused.add(1);
        }
        permits.map(|(port, all)| ConnectionPermit { _of_port: port, _of_all: all })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_port_cannot_take_the_connections_of_another() {
        let limit = ConnectionLimit::new(8);
        let (grpc, http) = (limit.port(), limit.port());
        let mut held: Vec<_> = std::iter::from_fn(|| grpc.try_acquire()).collect();
        assert_eq!((held.len(), limit.open(), limit.refused()), (6, 6, 1));
        held.extend(std::iter::from_fn(|| http.try_acquire()));
        assert_eq!((held.len(), limit.open(), limit.refused()), (8, 8, 2));
        held.clear();
        assert_eq!(limit.open(), 0);
        assert!(grpc.try_acquire().is_some());
    }
}
