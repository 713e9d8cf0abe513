//! A TCP proxy that can close, reset and stall what runs through it, and that keeps its address
//! while the server behind it comes and goes.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How much is held between reading and writing, in bytes.
const BUFFER_BYTES: usize = 16 * 1024;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// In good order (FIN).
    Close,
    /// By RST, with what was on its way.
    Reset,
}

/// Ends connections: all of them, or every second one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) ending: Ending,
    pub(crate) all: Share,
}

/// How many connections are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// Every one.
    All,
    /// Every second one.
    Half,
}

/// What all connections watch.
#[derive(Debug)]
struct Control {
    /// Where the server is; none while it is down.
    target: watch::Sender<Option<SocketAddr>>,
    stalled: watch::Sender<bool>,
    cut: watch::Sender<Option<Cut>>,
}

/// A running proxy; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    addr: SocketAddr,
    control: Arc<Control>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    /// Listens on a free port of the loopback address.
    pub(crate) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let control = Arc::new(Control {
            target: watch::Sender::new(None),
            stalled: watch::Sender::new(false),
            cut: watch::Sender::new(None),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&control)));
        Ok(Self { addr, control, accepting })
    }

    /// Where clients connect to.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// New connections go there; none are taken while there is nowhere to go.
    pub(crate) fn set_target(&self, target: Option<SocketAddr>) {
        self.control.target.send_replace(target);
    }

    /// Lets no byte through, or lets all through again.
    pub(crate) fn stall(&self, stalled: bool) {
        self.control.stalled.send_replace(stalled);
    }

    /// Ends connections now.
    pub(crate) fn cut(&self, cut: Cut) {
        self.control.cut.send_replace(Some(cut));
    }
}

async fn accept(listener: TcpListener, control: Arc<Control>) {
    let mut number = 0_u64;
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                number += 1;
                tokio::spawn(carry(client, number, Arc::clone(&control)));
            }
            // No descriptors for the moment: those of connections that end come back.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn carry(mut client: TcpStream, number: u64, control: Arc<Control>) {
    let mut cuts = control.cut.subscribe();
    let target = *control.target.borrow();
    let Some(target) = target else { return };
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    let ending = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let there = pipe(from_client, to_server, control.stalled.subscribe());
        let back = pipe(from_server, to_client, control.stalled.subscribe());
        tokio::select! {
            _ = async { tokio::join!(there, back) } => Ending::Close,
            ending = cut_of(number, &mut cuts) => ending,
        }
    };
    if ending == Ending::Reset {
        for end in [&client, &server] {
            // Closing with no time to linger sends RST; it fails only where the end is gone already.
            socket2::SockRef::from(end).set_linger(Some(Duration::ZERO)).ok();
        }
    }
}

/// Resolves when this connection is to be ended.
async fn cut_of(number: u64, cuts: &mut watch::Receiver<Option<Cut>>) -> Ending {
    loop {
        if cuts.changed().await.is_err() {
            return Ending::Close;
        }
        let cut = *cuts.borrow_and_update();
        if let Some(cut) = cut.filter(|cut| cut.all == Share::All || number.is_multiple_of(2)) {
            return cut.ending;
        }
    }
}

async fn pipe(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut stalled: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = from.read(&mut buffer).await?;
        // What was read when a stall begins is held back too.
        stalled.wait_for(|stalled| !stalled).await.map_err(io::Error::other)?;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = socket.split();
                    tokio::io::copy(&mut read, &mut write).await.ok();
                });
            }
        });
        addr
    }

    async fn round_trip(socket: &mut TcpStream) -> io::Result<usize> {
        socket.write_all(b"ping").await?;
        socket.read_exact(&mut [0; 4]).await
    }

    #[tokio::test]
    async fn bytes_pass_until_the_connection_is_cut_or_reset() {
        let proxy = Proxy::start().await.unwrap();
        proxy.set_target(Some(echo().await));
        for (ending, expected) in
            [(Ending::Close, None), (Ending::Reset, Some(io::ErrorKind::ConnectionReset))]
        {
            let mut socket = TcpStream::connect(proxy.addr()).await.unwrap();
            round_trip(&mut socket).await.unwrap();
            proxy.cut(Cut { ending, all: Share::All });
            let ended = socket.read(&mut [0; 4]).await;
            assert_eq!(ended.as_ref().err().map(io::Error::kind), expected, "{ended:?}");
        }
    }

    #[tokio::test]
    async fn a_stall_holds_bytes_back_and_loses_none() {
        let proxy = Proxy::start().await.unwrap();
        proxy.set_target(Some(echo().await));
        let mut socket = TcpStream::connect(proxy.addr()).await.unwrap();
        round_trip(&mut socket).await.unwrap();
        proxy.stall(true);
        let mut held = std::pin::pin!(round_trip(&mut socket));
        let early = tokio::time::timeout(Duration::from_millis(100), &mut held).await;
        assert!(early.is_err());
        proxy.stall(false);
        held.await.unwrap();
    }

    #[tokio::test]
    async fn without_a_server_a_connection_is_closed() {
        let proxy = Proxy::start().await.unwrap();
        let mut socket = TcpStream::connect(proxy.addr()).await.unwrap();
        assert_eq!(socket.read(&mut [0; 4]).await.unwrap(), 0);
    }
}
