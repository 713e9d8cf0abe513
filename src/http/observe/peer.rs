//! Who is at the other end of a connection.

use std::net::SocketAddr;
use std::task::{Context, Poll};

use http::Request;
use tower::Service;

/// The address of the client, or of the proxy before it.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Peer(pub(in crate::http) SocketAddr);

/// A connection's service: every request carries the peer as an extension.
#[derive(Debug, Clone)]
pub(in crate::http) struct WithPeer<S> {
    service: S,
    peer: Option<Peer>,
}

impl<S> WithPeer<S> {
    pub(in crate::http) fn new(service: S, peer: Option<SocketAddr>) -> Self {
        Self { service, peer: peer.map(Peer) }
    }
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for WithPeer<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        self.service.call(request)
    }
}
