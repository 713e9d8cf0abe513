//! A producer's connection: it is read in turns, and its end is told a little late.
//!
//! Turns: h2 reads a connection until nothing more is there, which may be megabytes of many
//! streams, before any of its streams' tasks runs. So reading pauses now and then, and entries are
//! read while the processor's cache still has them. That halves what an entry costs.
//!
//! The inbound end: h2 forgets the streams that were opened in the same read as the connection's end: its `poll_accept`
//! returns `None` before it hands out what it has already read (`// TODO: drop any pending streams`).
//! A producer that pushes its last lines and exits would lose them. So the end, by EOF or by an
//! error of either direction, is held back until the connection has had time to take its streams.
//!
//! The outbound end: a socket that is closed with unread bytes resets its connection, and the peer loses
//! what it has not read yet, such as the status that ends its stream. So after the last byte the
//! peer's are read and thrown away until it closes, or has had time to read.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// What is read in one turn, in bytes; a processor's own cache holds it and what becomes of it.
const TURN_BYTES: usize = 256 * 1024;

/// How long the end is held back. Streams that have arrived are taken in one turn of the
/// connection's task, so this only has to be longer than a turn.
const HELD_BACK: Duration = Duration::from_millis(50);

/// How long the peer may take to read what was sent last, and close.
const LINGER: Duration = Duration::from_millis(500);

/// How much is thrown away at a time, in bytes.
const SCRAP_BYTES: usize = 8 * 1024;

pub(super) struct Connection {
    connection: TcpStream,
    /// Bytes that may still be read in this turn.
    turn: usize,
    end: Option<Pin<Box<Sleep>>>,
    linger: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    pub(super) fn new(connection: TcpStream) -> Self {
        Self { connection, turn: TURN_BYTES, end: None, linger: None }
    }

    /// Ready once the peer has closed.
    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut scrap = [0; SCRAP_BYTES];
        loop {
            let mut buffer = ReadBuf::new(&mut scrap);
            let read = ready!(Pin::new(&mut self.connection).poll_read(context, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(());
            }
        }
    }

    /// A write error means that the peer is gone, which reading tells too, after what has arrived.
    fn as_sink<T>(result: Poll<io::Result<T>>, taken: T) -> Poll<io::Result<T>> {
        result.map(|done| Ok(done.unwrap_or(taken)))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.turn == 0 {
            self.turn = TURN_BYTES;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.end.is_none() {
            let filled = buffer.filled().len();
            let read = ready!(Pin::new(&mut self.connection).poll_read(context, buffer));
            let bytes = buffer.filled().len() - filled;
            if read.is_ok() && bytes > 0 {
                self.turn = self.turn.saturating_sub(bytes);
                return Poll::Ready(Ok(()));
            }
        }
        let end = self.end.get_or_insert_with(|| Box::pin(sleep(HELD_BACK)));
        end.as_mut().poll(context).map(Ok)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Self::as_sink(Pin::new(&mut self.connection).poll_write(context, bytes), bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.connection).poll_write_vectored(context, slices);
        Self::as_sink(written, slices.iter().map(|slice| slice.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::as_sink(Pin::new(&mut self.connection).poll_flush(context), ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.connection).poll_shutdown(context))?;
        }
        let linger = self.linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        if linger.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        self.poll_discard(context).map(Ok)
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.connection.connect_info()
    }
}
