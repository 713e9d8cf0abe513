//! The access log: one line for each request, when its answer has gone.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tracing::Span;

/// Characters of a path that are logged.
const SHOWN_PATH_CHARS: usize = 256;

/// What is logged of a request: nothing that may hold a token, so no query and no header. Logged when it is dropped.
struct AccessLine {
    span: Span,
    method: String,
    path: String,
    /// `None` while there is no answer; a client may not wait for it.
    status: Option<u16>,
    bytes: u64,
    began: Instant,
}

/// A body that is counted, and logged at its end.
struct CountedBody {
    body: Body,
    line: AccessLine,
}

/// Logs `request` once its answer was sent, or nobody takes it any more.
pub(in crate::http) async fn log_access(request: Request, next: Next) -> Response {
    let mut line = AccessLine {
        span: Span::current(),
        method: request.method().to_string(),
        path: request.uri().path().chars().take(SHOWN_PATH_CHARS).collect(),
        status: None,
        bytes: 0,
        began: Instant::now(),
    };
    let response = next.run(request).await;
    line.status = Some(response.status().as_u16());
    response.map(|body| Body::new(CountedBody { body, line }))
}

impl Drop for AccessLine {
    fn drop(&mut self) {
        let Self { method, path, status, bytes, .. } = self;
        let (method, path) = (method.as_str(), path.as_str());
        let seconds = self.began.elapsed().as_secs_f64();
        let _in_span = self.span.enter();
        tracing::info!(target: "access", method, path, status, bytes, seconds, "request");
    }
}

impl http_body::Body for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.line.bytes += data.len() as u64;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
