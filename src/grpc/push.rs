//! The calls that push entries, served before their services' other methods.
//!
//! They read and write the transport's frames themselves: see [`RequestBody`] and [`Acks`].

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{BoxFuture, FutureExt, ready};
use futures_util::{Stream, StreamExt};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use prost::Message;
use tonic::Status;
use tonic::body::Body;
use tonic::metadata::GRPC_CONTENT_TYPE;
use tower::{Layer, Service};

use super::request_body::RequestBody;
use super::response_body::Acks;
use crate::encode::WireLayout;
use crate::ingest::{Ack, IncomingEntry, PushSession, SessionEnd};

const ENCODING: &str = "grpc-encoding";
const ACCEPT_ENCODING: &str = "grpc-accept-encoding";

type Open = dyn Fn(Request<Body>) -> Result<Response<Body>, Status> + Send + Sync;

/// A call that pushes: its path, and what opens it.
pub(super) struct Push {
    path: &'static str,
    open: Box<Open>,
}

impl Push {
    pub(super) fn new(
        path: &'static str,
        open: impl Fn(Request<Body>) -> Result<Response<Body>, Status> + Send + Sync + 'static,
    ) -> Self {
        Self { path, open: Box::new(open) }
    }
}

/// Serves the calls that push before anything else looks at them: each layer between would be
/// asked for every message.
#[derive(Clone)]
pub(super) struct PushLayer(Arc<[Push]>);

impl PushLayer {
    pub(super) fn new(pushes: impl Into<Arc<[Push]>>) -> Self {
        Self(pushes.into())
    }
}

impl<S> Layer<S> for PushLayer {
    type Service = WithPushes<S>;

    fn layer(&self, others: S) -> WithPushes<S> {
        WithPushes { pushes: Arc::clone(&self.0), others }
    }
}

/// The calls that push, and a service for all others.
#[derive(Clone)]
pub(super) struct WithPushes<S> {
    pushes: Arc<[Push]>,
    others: S,
}

impl<S> Service<Request<Body>> for WithPushes<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.others.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.pushes.iter().find(|push| push.path == request.uri().path()) {
            Some(push) => ready(Ok((push.open)(request).unwrap_or_else(Status::into_http))).boxed(),
            None => self.others.call(request).boxed(),
        }
    }
}

/// The entries of `request`.
///
/// # Errors
/// When they are compressed.
pub(super) fn entries(request: Request<Body>, layout: WireLayout) -> Result<RequestBody, Status> {
    match request.headers().get(ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(RequestBody::new(request.into_body(), layout)),
        Some(other) => {
            let other = String::from_utf8_lossy(other);
            let mut status =
                Status::unimplemented(format!("{ENCODING} is {other:?}, it needs identity"));
            let identity = HeaderValue::from_static("identity");
            let metadata = status.metadata_mut().as_mut();
            metadata.insert(ACCEPT_ENCODING, identity);
            Err(status)
        }
    }
}

/// The response that answers as `session` does, in messages that `message` makes.
pub(super) fn answers<S, M>(
    session: PushSession<S, Status>,
    message: impl Fn(Ack) -> M + Send + 'static,
) -> Response<Body>
where
    S: Stream<Item = Result<IncomingEntry, Status>> + Unpin + Send + 'static,
    M: Message + 'static,
{
    let messages = session.map(move |answer| answer.map(&message).map_err(status));
    let mut response = Response::new(Body::new(Acks::new(messages)));
    response.headers_mut().insert(CONTENT_TYPE, GRPC_CONTENT_TYPE);
    response
}

/// The one place where an session's end becomes a gRPC status.
fn status(end: SessionEnd<Status>) -> Status {
    match end {
        SessionEnd::Inbound(status) => status,
        SessionEnd::Log(error) => Status::unavailable(error.to_string()),
        SessionEnd::Draining => Status::unavailable("the server is shutting down, connect again"),
    }
}
