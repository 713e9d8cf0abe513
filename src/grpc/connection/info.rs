//! What is known of a connection.

use std::net::SocketAddr;

use crate::ingest::ConnectionBudget;

/// What is known of a connection; each of its requests carries it as an extension.
#[derive(Debug, Clone)]
pub(in crate::grpc) struct ConnectionInfo {
    /// What its streams may hold of unfinished messages together.
    pub(in crate::grpc) budget: ConnectionBudget,
    /// Who is at its other end.
    pub(in crate::grpc) peer: Option<SocketAddr>,
}
