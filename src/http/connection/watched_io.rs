//! A connection's bytes, with the times that it may be idle or take for a request's head.
//!
//! hyper has one time for both: it begins when the connection becomes idle, so a connection that
//! is kept for the next request would be closed as soon as a head that does not arrive.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::head_refusal::with_reason;
use super::phase::{Phase, PhaseOfRequest, SharedPhase};

/// How long a connection may be idle between two requests. Longer than the 60 s for which proxies
/// keep theirs, so that none is closed in the moment in which it is used again.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// How long a request's head may take from its first byte on; the first one of a connection from
/// the connection's beginning on.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// After a refused head, how much more is read, and for how long: closing with unread bytes makes
/// the client's system throw the response away (RFC 9112 §9.6).
const LINGER_BYTES: usize = 256 * 1024;
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// The input and output of one connection.
pub(super) struct WatchedIo<S> {
    stream: S,
    phase: SharedPhase,
    /// The phase that `timer` was set for.
    timed: PhaseOfRequest,
    timer: Pin<Box<Sleep>>,
    /// Whether the peer has not taken what was written.
    is_writing: bool,
    /// What is written in place of a refusal without a reason.
    refusal: Option<Refusal>,
}

struct Refusal {
    bytes: Vec<u8>,
    written: usize,
    /// The length of what it takes the place of.
    stands_for: usize,
    /// How much is read yet once the refusal is written.
    linger_bytes: usize,
    has_closed: bool,
}

impl<S> WatchedIo<S> {
    pub(super) fn new(stream: S, phase: SharedPhase) -> Self {
        let (timer, timed) = (Box::pin(sleep(HEAD_TIMEOUT)), phase.get());
        Self { stream, phase, timed, timer, is_writing: false, refusal: None }
    }

    /// Ready when what is awaited has taken too long.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let now = self.phase.get();
        let timeout = match now.phase {
            Phase::Answering => {
                self.phase.wake_when_answered(context);
                return Poll::Pending;
            }
            Phase::Idle => IDLE_TIMEOUT,
            Phase::Head => HEAD_TIMEOUT,
        };
        if now != self.timed {
            self.timed = now;
            self.timer.as_mut().reset(Instant::now() + timeout);
        }
        loop {
            ready!(self.timer.as_mut().poll(context));
            if !self.is_writing {
                return Poll::Ready(());
            }
            // The answer before is still on its way, for which there is another time.
            self.timer.as_mut().reset(Instant::now() + timeout);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WatchedIo<S> {
    /// Writes a refusal's bytes; ready with how much that stands for.
    fn poll_refusal(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(refusal) = &mut self.refusal else { return Poll::Ready(Ok(0)) };
        while refusal.written < refusal.bytes.len() {
            let rest = &refusal.bytes[refusal.written..];
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            refusal.written += written;
        }
        Poll::Ready(Ok(std::mem::take(&mut refusal.stands_for)))
    }

    /// Whether `bytes` begin a refusal that gets a reason, or are the rest of it.
    fn is_refusal(&mut self, bytes: &[u8]) -> bool {
        if let Some(refusal) = &self.refusal {
            return refusal.stands_for > 0;
        }
        if self.phase.get().phase != Phase::Head {
            return false;
        }
        let Some(told) = with_reason(bytes) else { return false };
        let stands_for = bytes.len();
        let (written, linger_bytes, has_closed) = (0, LINGER_BYTES, false);
        self.refusal = Some(Refusal { bytes: told, written, stands_for, linger_bytes, has_closed });
        true
    }

    /// Reads on for a moment, so that the client gets to see the refusal.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(refusal) = &mut self.refusal else { return Poll::Ready(Ok(())) };
        while refusal.linger_bytes > 0 {
            let mut space = [0; 8 * 1024];
            let mut buffer = ReadBuf::new(&mut space);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    let read = buffer.filled().len();
                    refusal.linger_bytes = refusal.linger_bytes.saturating_sub(read);
                }
                Poll::Ready(_) => break,
                Poll::Pending => return self.timer.as_mut().poll(context).map(Ok),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WatchedIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        match read {
            // For hyper the peer has closed: it ends the connection in peace.
            Poll::Pending => self.poll_late(context).map(Ok),
            read => {
                let has_begun =
                    self.phase.get().phase == Phase::Idle && buffer.filled().len() > before;
                if has_begun {
                    self.phase.set(Phase::Head);
                }
                read
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WatchedIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_refusal(bytes) {
            return self.poll_refusal(context);
        }
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.is_writing = written.is_pending();
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = slices
            && self.is_refusal(only)
        {
            return self.poll_refusal(context);
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.is_writing = written.is_pending();
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let has_closed = self.refusal.as_ref().is_some_and(|refusal| refusal.has_closed);
        if !has_closed {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            let Some(refusal) = &mut self.refusal else { return Poll::Ready(Ok(())) };
            refusal.has_closed = true;
            self.timer.as_mut().reset(Instant::now() + LINGER_TIMEOUT);
        }
        self.poll_linger(context)
    }
}
