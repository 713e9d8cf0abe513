//! What a connection is doing: shared by its service, which knows when a request is handled, and
//! its input, which knows when one begins.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;
use http::{Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::Service;

use crate::http::websocket::ConnectionHold;

/// How many phases there are.
const PHASES: u64 = 3;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing: the next request has not begun.
    Idle,
    /// A request's head has begun and is not whole.
    Head,
    /// A request is answered.
    Answering,
}

/// The phase of one connection. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct SharedPhase(Arc<PhaseCell>);

#[derive(Debug)]
struct PhaseCell {
    /// The phase, and the requests before it.
    word: AtomicU64,
    /// Whoever reads the connection.
    reader: AtomicWaker,
}

/// A phase, told from the same phase around another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PhaseOfRequest {
    pub(super) phase: Phase,
    /// How many requests came before.
    requests: u64,
}

impl SharedPhase {
    /// Of a connection whose first head is awaited.
    pub(super) fn new() -> Self {
        let (word, reader) = (AtomicU64::new(Phase::Head as u64), AtomicWaker::new());
        Self(Arc::new(PhaseCell { word, reader }))
    }

    pub(super) fn get(&self) -> PhaseOfRequest {
        let word = self.0.word.load(Relaxed);
        let phase = match word % PHASES {
            0 => Phase::Idle,
            1 => Phase::Head,
            _ => Phase::Answering,
        };
        PhaseOfRequest { phase, requests: word / PHASES }
    }

    pub(super) fn set(&self, phase: Phase) {
        let before = self.get().requests;
        let requests = before + u64::from(phase == Phase::Answering);
        self.0.word.store(requests * PHASES + phase as u64, Relaxed);
    }

    /// Wakes the task of `context` once the answer is over: hyper looks at its input no more then,
    /// where it had nothing before.
    pub(super) fn wake_when_answered(&self, context: &Context<'_>) {
        self.0.reader.register(context.waker());
    }
}

/// A service whose connection knows when it answers.
pub(super) struct PhaseService<S> {
    service: S,
    phase: SharedPhase,
    /// What a request that takes the connection over holds on to.
    hold: Option<ConnectionHold>,
}

impl<S> PhaseService<S> {
    pub(super) fn new(service: S, phase: SharedPhase, hold: Option<ConnectionHold>) -> Self {
        Self { service, phase, hold }
    }
}

impl<S> Service<Request<Incoming>> for PhaseService<S>
where
    S: Service<Request<Incoming>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<PhaseBody>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.phase.set(Phase::Answering);
        if let Some(hold) = &self.hold {
            request.extensions_mut().insert(hold.clone());
        }
        let mut answered = Answered { phase: self.phase.clone(), is_taken_over: false };
        let response = self.service.call(request);
        async move {
            let response = response.await?;
            answered.is_taken_over = response.status() == StatusCode::SWITCHING_PROTOCOLS;
            Ok(response.map(|body| PhaseBody { body, _answered: answered }))
        }
        .boxed()
    }
}

/// The answer to one request; once it is dropped the next request may begin.
struct Answered {
    phase: SharedPhase,
    /// No other request comes: what follows is for a WebSocket, which has times of its own.
    is_taken_over: bool,
}

impl Drop for Answered {
    fn drop(&mut self) {
        if !self.is_taken_over {
            self.phase.set(Phase::Idle);
            self.phase.0.reader.wake();
        }
    }
}

/// A response's body that notes its end.
pub(super) struct PhaseBody {
    body: Body,
    _answered: Answered,
}

impl HttpBody for PhaseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
