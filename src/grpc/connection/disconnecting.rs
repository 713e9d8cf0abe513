//! Ends a connection when the server does not wait for its peer any longer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use crate::connections::ConnectionPermit;

/// A connection that fails once it is told to and its peer keeps it waiting, in either direction.
pub(in crate::grpc) struct DisconnectingConnection<C> {
    connection: C,
    disconnect: Pin<Box<WaitForCancellationFutureOwned>>,
    _permit: ConnectionPermit,
}

impl<C> DisconnectingConnection<C> {
    pub(super) fn new(
        connection: C,
        permit: ConnectionPermit,
        disconnect: CancellationToken,
    ) -> Self {
        let disconnect = Box::pin(disconnect.cancelled_owned());
        Self { connection, disconnect, _permit: permit }
    }

    /// `done`, or the error that ends the connection where there is nothing to do but wait.
    fn unless_disconnected<T>(
        &mut self,
        done: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if done.is_pending() && self.disconnect.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        done
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for DisconnectingConnection<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.connection).poll_read(context, buffer);
        self.unless_disconnected(done, context)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for DisconnectingConnection<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.connection).poll_write(context, bytes);
        self.unless_disconnected(done, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.connection).poll_write_vectored(context, slices);
        self.unless_disconnected(done, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.connection).poll_flush(context);
        self.unless_disconnected(done, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.connection).poll_shutdown(context);
        self.unless_disconnected(done, context)
    }
}

impl<C: Connected> Connected for DisconnectingConnection<C> {
    type ConnectInfo = C::ConnectInfo;

    fn connect_info(&self) -> C::ConnectInfo {
        self.connection.connect_info()
    }
}
