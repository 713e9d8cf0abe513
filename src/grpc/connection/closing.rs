//! Closes a connection with some delay, in both directions.
//!
//! The inbound end: h2 forgets the streams that were opened in the same read as the connection's
//! end, since its `poll_accept` returns `None` before it hands out what it has already read
//! (`// TODO: drop any pending streams`). A producer that pushes its last lines and exits would
//! lose them. So the end, by EOF or by an error of either direction, is held back until h2 has
//! had time to hand out the streams.
//!
//! The outbound end: closing a socket with unread bytes resets its connection, and the peer loses
//! what it has not read yet, such as the status that ends its stream. So after the last write,
//! what the peer still sends is read and discarded, until it closes or has had time to read.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// How long the inbound end is held back. h2 hands out the streams that have arrived when it is
/// polled next, so this only has to be longer than that takes.
const INBOUND_END_DELAY: Duration = Duration::from_millis(50);

/// How long the peer may take to read what was sent last, and close.
const OUTBOUND_END_TIMEOUT: Duration = Duration::from_millis(500);

/// How much is discarded at a time, in bytes.
const DISCARD_BYTES: usize = 8 * 1024;

/// A socket whose ends, inbound and outbound, come late enough for either side to lose nothing.
pub(in crate::grpc) struct ClosingConnection {
    stream: TcpStream,
    /// Set at the inbound end, which is reported when it is over.
    inbound_end: Option<Pin<Box<Sleep>>>,
    /// Set at the outbound end; what the peer sends is discarded until it is over.
    outbound_end: Option<Pin<Box<Sleep>>>,
}

impl ClosingConnection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, inbound_end: None, outbound_end: None }
    }

    /// Ready once the peer has closed.
    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut discarded = [0; DISCARD_BYTES];
        loop {
            let mut buffer = ReadBuf::new(&mut discarded);
            let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(());
            }
        }
    }

    /// Hides a write error: it means that the peer is gone, which reads report too, but only
    /// after what has arrived.
    fn hide_error<T>(written: Poll<io::Result<T>>, if_failed: T) -> Poll<io::Result<T>> {
        written.map(|written| Ok(written.unwrap_or(if_failed)))
    }
}

impl AsyncRead for ClosingConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.inbound_end.is_none() {
            let filled = buffer.filled().len();
            let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
            if read.is_ok() && buffer.filled().len() > filled {
                return Poll::Ready(Ok(()));
            }
        }
        let end = self.inbound_end.get_or_insert_with(|| Box::pin(sleep(INBOUND_END_DELAY)));
        end.as_mut().poll(context).map(Ok)
    }
}

impl AsyncWrite for ClosingConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Self::hide_error(Pin::new(&mut self.stream).poll_write(context, bytes), bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        Self::hide_error(written, slices.iter().map(|slice| slice.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::hide_error(Pin::new(&mut self.stream).poll_flush(context), ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.outbound_end.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        }
        let outbound_end =
            self.outbound_end.get_or_insert_with(|| Box::pin(sleep(OUTBOUND_END_TIMEOUT)));
        if outbound_end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        self.poll_discard(context).map(Ok)
    }
}
