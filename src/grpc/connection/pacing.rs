//! Reads a connection in turns.
//!
//! h2 reads a connection until nothing more is there, which may be megabytes of many streams,
//! before any of its streams' tasks runs. So reading pauses after each turn, and entries are
//! processed while the processor's cache still has them. That halves what an entry costs.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

use super::info::ConnectionInfo;
use super::resets::ResetWatch;

/// What is read in one turn, in bytes; a processor's own cache holds it and what becomes of it.
const TURN_BYTES: usize = 256 * 1024;

/// A connection that lets other tasks run after each [`TURN_BYTES`], and whose resets are told from ends.
pub(in crate::grpc) struct PacedConnection<C> {
    connection: C,
    /// Bytes that may still be read in this turn.
    turn_bytes: usize,
    resets: ResetWatch,
    info: ConnectionInfo,
}

impl<C> PacedConnection<C> {
    pub(super) fn new(connection: C, info: ConnectionInfo) -> Self {
        Self { connection, turn_bytes: TURN_BYTES, resets: ResetWatch::default(), info }
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for PacedConnection<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.turn_bytes == 0 {
            self.turn_bytes = TURN_BYTES;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let filled = buffer.filled().len();
        ready!(Pin::new(&mut self.connection).poll_read(context, buffer))?;
        let read = &mut buffer.filled_mut()[filled..];
        self.turn_bytes = self.turn_bytes.saturating_sub(read.len());
        self.resets.watch(read);
        Poll::Ready(Ok(()))
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for PacedConnection<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}

impl<C> Connected for PacedConnection<C> {
    type ConnectInfo = ConnectionInfo;

    fn connect_info(&self) -> ConnectionInfo {
        self.info.clone()
    }
}
