//! The calls that push entries, served before their services' other methods.
//!
//! They read and write the transport's frames themselves: see [`RequestBody`] and
//! [`ResponseBody`].

use std::net::SocketAddr;
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

use super::arrival::{Calls, stream_budget};
use super::connection::ConnectionInfo;
use super::framing::{ACCEPT_ENCODING, ACCEPTED, Packing, refuse_other_content};
use super::message_counter::MessageCounter;
use super::request_body::RequestBody;
use super::response_body::ResponseBody;
use crate::encode::WireLayout;
use crate::ingest::{
    Ack, EntryReader, IncomingEntry, Intake, PushSession, SessionEnd, StreamPermit,
};

type Open = dyn Fn(Request<Body>) -> Result<Response<Body>, Status> + Send + Sync;

/// A call that pushes: its path, and what opens it.
pub(super) struct PushCall {
    path: &'static str,
    open: Box<Open>,
}

impl PushCall {
    pub(super) fn new(
        path: &'static str,
        open: impl Fn(Request<Body>) -> Result<Response<Body>, Status> + Send + Sync + 'static,
    ) -> Self {
        Self { path, open: Box::new(open) }
    }
}

/// Serves the calls that push before any other layer: each layer between would be polled for
/// every message.
#[derive(Clone)]
pub(super) struct PushLayer {
    pushes: Arc<[PushCall]>,
    calls: Calls,
}

impl PushLayer {
    /// Serves `pushes`; `calls` bounds the others.
    pub(super) fn new(pushes: impl Into<Arc<[PushCall]>>, calls: Calls) -> Self {
        Self { pushes: pushes.into(), calls }
    }
}

impl<S> Layer<S> for PushLayer {
    type Service = PushService<S>;

    fn layer(&self, others: S) -> PushService<S> {
        PushService { pushes: Arc::clone(&self.pushes), calls: self.calls.clone(), others }
    }
}

/// The calls that push, and a service for all others.
#[derive(Clone)]
pub(super) struct PushService<S> {
    pushes: Arc<[PushCall]>,
    calls: Calls,
    others: S,
}

impl<S> Service<Request<Body>> for PushService<S>
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
        if let Some(refusal) = refuse_other_content(request.headers()) {
            return ready(Ok(refusal)).boxed();
        }
        let push = self.pushes.iter().find(|push| push.path == request.uri().path());
        if let Some(push) = push {
            return ready(Ok((push.open)(request).unwrap_or_else(Status::into_http))).boxed();
        }
        match self.calls.admit(request) {
            Ok((request, hold)) => {
                let handled = self.others.call(request);
                async move {
                    let response = handled.await;
                    drop(hold);
                    response
                }
                .boxed()
            }
            Err(refusal) => ready(Ok(refusal.into_http())).boxed(),
        }
    }
}

/// What every call that pushes needs. Clones share it.
#[derive(Clone)]
pub(super) struct PushContext {
    pub(super) intake: Intake,
    /// Of the runtime thread that serves the calls.
    pub(super) messages: MessageCounter,
}

impl PushContext {
    /// A permit for one more stream.
    ///
    /// # Errors
    /// When as many streams push as may.
    pub(super) fn acquire_permit(&self) -> Result<StreamPermit, Status> {
        self.intake.permit().ok_or_else(|| {
            let limit = self.intake.limits().streams;
            Status::resource_exhausted(format!("{limit} streams push already, which is the limit"))
        })
    }

    /// The entries of `request`.
    ///
    /// # Errors
    /// When they are packed in a way that is not taken.
    pub(super) fn entries(
        &self,
        request: Request<Body>,
        layout: WireLayout,
    ) -> Result<RequestBody, Status> {
        let packing = Packing::of(request.headers())?;
        let budget = stream_budget(&self.intake, &request);
        let limits = self.intake.limits();
        let reader = EntryReader::new(layout, limits.line_limits());
        let (body, messages) = (request.into_body(), self.messages.clone());
        Ok(RequestBody::new(body, reader, (packing, limits.message_bytes()), messages, budget))
    }
}

/// Who sent `request`, where its connection tells.
pub(super) fn peer(request: &Request<Body>) -> Option<SocketAddr> {
    request.extensions().get::<ConnectionInfo>()?.peer
}

/// The response with the acks of `session`, as messages that `message` makes.
pub(super) fn response<S, M>(
    session: PushSession<S, Status>,
    message: impl Fn(Ack) -> M + Send + 'static,
) -> Response<Body>
where
    S: Stream<Item = Result<IncomingEntry, Status>> + Unpin + Send + 'static,
    M: Message + 'static,
{
    let messages = session.map(move |ack| ack.map(&message).map_err(status));
    let mut response = Response::new(Body::new(ResponseBody::new(messages)));
    response.headers_mut().insert(CONTENT_TYPE, GRPC_CONTENT_TYPE);
    response.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static(ACCEPTED));
    response
}

/// The one place where a session's end becomes a gRPC status.
fn status(end: SessionEnd<Status>) -> Status {
    match end {
        SessionEnd::Inbound(status) => status,
        SessionEnd::Log(error) => Status::unavailable(error.to_string()),
        SessionEnd::Draining => Status::unavailable("the server is shutting down, connect again"),
    }
}
