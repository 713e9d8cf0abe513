//! The line that a viewer leaves in the process's log at its end.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::Span;

use crate::domain::Scope;
use crate::log_limiter::LogLimiter;

/// What a viewer was sent and how it ended; logged when it is dropped, in the span of its request.
pub(in crate::http) struct ViewerLog {
    limiter: Arc<LogLimiter>,
    transport: &'static str,
    /// It has the request's id and the peer.
    pub(super) span: Span,
    subject: Option<Arc<str>>,
    scope: Scope,
    opened: Instant,
    entries: u64,
    bytes: u64,
    end: &'static str,
}

impl ViewerLog {
    /// For a viewer of `scope` that the current request opens for `subject`.
    pub(in crate::http) fn new(
        limiter: Arc<LogLimiter>,
        transport: &'static str,
        subject: Option<Arc<str>>,
        scope: Scope,
    ) -> Self {
        let (span, opened) = (Span::current(), Instant::now());
        // Whoever goes says nothing.
        Self { limiter, transport, span, subject, scope, opened, entries: 0, bytes: 0, end: "gone" }
    }

    pub(super) fn note_sent(&mut self, entries: u64, bytes: usize) {
        self.entries += entries;
        self.bytes += bytes as u64;
    }

    /// Notes how the server ends it.
    pub(super) fn note_end(&mut self, end: &'static str) {
        self.end = end;
    }
}

impl Drop for ViewerLog {
    fn drop(&mut self) {
        let Self { transport, entries, bytes, end, .. } = *self;
        let subject = self.subject.as_deref();
        let task = match &self.scope {
            Scope::Task(task) => Some(task.as_str()),
            Scope::All => None,
        };
        let seconds = self.opened.elapsed().as_secs_f64();
        let _in_span = self.span.enter();
        self.limiter.log(|viewers| {
            tracing::info!(
                transport,
                task,
                subject,
                entries,
                bytes,
                seconds,
                end,
                viewers,
                "a viewer ended"
            );
        });
    }
}
