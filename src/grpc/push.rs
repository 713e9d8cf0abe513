//! The two RPCs that push entries, served beside their services' other methods.
//!
//! They read and write the transport's frames themselves: see [`Entries`] and [`Answers`].

use std::convert::Infallible;
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
use tonic::server::NamedService;
use tower::Service;

use super::answers::Answers;
use super::entries::Entries;
use crate::encode::Layout;
use crate::ingest::{Answer, End, Exchange, Item};

const ENCODING: &str = "grpc-encoding";
const ACCEPT_ENCODING: &str = "grpc-accept-encoding";

type Open = dyn Fn(Request<Body>) -> Result<Response<Body>, Status> + Send + Sync;

/// A service one of whose methods pushes.
#[derive(Clone)]
pub(super) struct WithPush<S> {
    path: &'static str,
    open: Arc<Open>,
    others: S,
}

impl<S> WithPush<S> {
    /// Serves `path` with `open`, and what else comes with `others`.
    pub(super) fn new(
        path: &'static str,
        open: impl Fn(Request<Body>) -> Result<Response<Body>, Status> + Send + Sync + 'static,
        others: S,
    ) -> Self {
        Self { path, open: Arc::new(open), others }
    }
}

impl<S: NamedService> NamedService for WithPush<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for WithPush<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.others.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.uri().path() != self.path {
            return self.others.call(request).boxed();
        }
        ready(Ok((self.open)(request).unwrap_or_else(Status::into_http))).boxed()
    }
}

/// The entries of `request`.
///
/// # Errors
/// When they are compressed.
pub(super) fn entries(request: Request<Body>, layout: Layout) -> Result<Entries, Status> {
    match request.headers().get(ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(Entries::new(request.into_body(), layout)),
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

/// The response that answers as `exchange` does, in messages that `message` makes.
pub(super) fn answers<S, M>(
    exchange: Exchange<S, Status>,
    message: impl Fn(Answer) -> M + Send + 'static,
) -> Response<Body>
where
    S: Stream<Item = Result<Item, Status>> + Unpin + Send + 'static,
    M: Message + 'static,
{
    let messages = exchange.map(move |answer| answer.map(&message).map_err(status));
    let mut response = Response::new(Body::new(Answers::new(messages)));
    response.headers_mut().insert(CONTENT_TYPE, GRPC_CONTENT_TYPE);
    response
}

/// The one place where an exchange's end becomes a gRPC status.
fn status(end: End<Status>) -> Status {
    match end {
        End::Inbound(status) => status,
        End::Log(error) => Status::unavailable(error.to_string()),
        End::Draining => Status::unavailable("the server is shutting down, connect again"),
    }
}
