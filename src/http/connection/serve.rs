//! Serves each connection until it ends.

use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;

use axum::Router;
use futures_util::{Stream, StreamExt};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_io_timeout::TimeoutStream;
use tokio_util::task::TaskTracker;

use super::head_refusal::MAX_HEAD_BYTES;
use super::phase::{PhaseService, SharedPhase};
use super::watched_io::WatchedIo;
use crate::connections::{Accepted, Shutdown};
use crate::http::app_state::AppState;
use crate::http::observe::peer::WithPeer;
use crate::http::router;
use crate::http::websocket::ConnectionHold;

/// What a connection may buffer, in bytes, in either direction: a request's head, or the beginning of
/// a piece. An idle viewer has a quarter of it.
const MAX_BUFFER_BYTES: usize = MAX_HEAD_BYTES;

/// What the kernel may buffer for a connection that the client does not read, in bytes. The kernel
/// wakes a writer only once a third of it is free: if it could grow to megabytes, a slow reader
/// would look like a stalled one.
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// A scraper that takes nothing for so long is closed.
const METRICS_STALL_TIMEOUT: Duration = Duration::from_secs(10);

type Io<S> = TokioIo<WatchedIo<Pin<Box<TimeoutStream<S>>>>>;
type Connection<S> =
    http1::UpgradeableConnection<Io<S>, PhaseService<TowerToHyperService<WithPeer<Router>>>>;

/// Serves `state` on `connections` until `shutdown` drains and every connection has ended, by itself
/// or by its second step. Several may run at once, each on a runtime of its own.
pub async fn serve(connections: impl Stream<Item = Accepted>, state: AppState, shutdown: Shutdown) {
    let stall_timeout = state.options().viewer_stall_timeout;
    let router = router::router(state.on_another_runtime());
    serve_router(connections, router, stall_timeout, shutdown).await;
}

/// Serves the metrics of `state` to everyone on `connections`, as [`serve`] serves the rest.
pub async fn serve_metrics(
    connections: impl Stream<Item = Accepted>,
    state: AppState,
    shutdown: Shutdown,
) {
    let router = router::metrics_router(state);
    serve_router(connections, router, METRICS_STALL_TIMEOUT, shutdown).await;
}

async fn serve_router(
    connections: impl Stream<Item = Accepted>,
    router: Router,
    stall_timeout: Duration,
    shutdown: Shutdown,
) {
    let running = TaskTracker::new();
    let mut connections = pin!(connections.take_until(shutdown.drain.clone().cancelled_owned()));
    while let Some(accepted) = connections.next().await {
        let Accepted { stream, permit } = accepted;
        let hold = ConnectionHold::new(permit, running.token(), shutdown.disconnect.clone());
        let serving =
            serve_connection(stream, hold, router.clone(), stall_timeout, shutdown.clone());
        running.spawn(serving);
    }
    running.close();
    running.wait().await;
}

async fn serve_connection(
    stream: TcpStream,
    hold: ConnectionHold,
    router: Router,
    stall_timeout: Duration,
    shutdown: Shutdown,
) {
    if let Err(error) = tune(&stream) {
        tracing::debug!(%error, "a connection keeps the system's settings");
    }
    let router = WithPeer::new(router, stream.peer_addr().ok());
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(stall_timeout));
    if let Err(error) = run(Box::pin(connection(stream, router, Some(hold))), shutdown).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

fn connection<S: AsyncRead + AsyncWrite + Send + 'static>(
    stream: TimeoutStream<S>,
    router: WithPeer<Router>,
    hold: Option<ConnectionHold>,
) -> Connection<S> {
    let phase = SharedPhase::new();
    let io = WatchedIo::new(Box::pin(stream), phase.clone());
    let service = PhaseService::new(TowerToHyperService::new(router), phase, hold);
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_header_size(MAX_HEAD_BYTES)
        .max_buf_size(MAX_BUFFER_BYTES)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades()
}

/// Ends with the connection; while draining after its last response, or when the server waits no
/// longer. The connection is boxed because this future would hold one that is moved in by value
/// twice.
async fn run<S>(mut connection: Pin<Box<Connection<S>>>, shutdown: Shutdown) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = shutdown.drain.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        ended = connection => ended,
        () = shutdown.disconnect.cancelled() => Ok(()),
    }
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    // Frames are written whole, so waiting for more to send with them gains nothing.
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_send_buffer_size(SEND_BUFFER_BYTES)
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::*;
    use crate::client::https;
    use crate::http::tests::support::accepted;

    #[tokio::test]
    async fn a_panic_ends_the_connection_that_it_happened_on_and_no_other() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let panics = get(|| async {
            if true {
                panic!("in a handler");
            }
        });
        let router = Router::new().route("/panics", panics).route("/", get(|| async { "well" }));
        let shutdown = Shutdown::default();
        let stall_timeout = Duration::from_secs(60);
        let serving = serve_router(accepted(listener), router, stall_timeout, shutdown.clone());
        let serving = tokio::spawn(serving);
        let client = https::client();
        let text = async || client.get(&url).send().await.unwrap().text().await.unwrap();
        assert_eq!(text().await, "well");
        assert!(https::client().get(format!("{url}/panics")).send().await.is_err());
        assert_eq!(text().await, "well");
        shutdown.drain.cancel();
        serving.await.unwrap();
    }

    /// A connection that is served in this task's time.
    fn connected() -> DuplexStream {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let router = Router::new().route("/", get(|| async { "well" }));
        let router = WithPeer::new(router, None);
        let connection = connection(TimeoutStream::new(server), router, None);
        tokio::spawn(run(Box::pin(connection), Shutdown::default()));
        client
    }

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

    /// Reads a response, whose body is `well`.
    async fn response(client: &mut DuplexStream) -> String {
        let mut text = String::new();
        while !text.ends_with("well") {
            let byte = client.read_u8().await.expect(&text);
            text.push(byte.into());
        }
        text
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_kept_for_75_seconds_between_two_requests() {
        let mut client = connected();
        for _ in 0..3 {
            client.write_all(REQUEST).await.unwrap();
            response(&mut client).await;
            tokio::time::sleep(Duration::from_secs(74)).await;
        }
        let idle_since = Instant::now();
        assert_eq!(client.read_u8().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(idle_since.elapsed().as_secs(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_is_not_whole_after_30_seconds_ends_its_connection_however_it_trickles() {
        for requests_before in 0..2 {
            let mut client = connected();
            for _ in 0..requests_before {
                client.write_all(REQUEST).await.unwrap();
                response(&mut client).await;
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            let begun = Instant::now();
            let mut written = 0;
            while client.write_all(&REQUEST[written..][..1]).await.is_ok() && written < 20 {
                written += 1;
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
            assert!((5..=8).contains(&written), "{written} bytes were taken");
            assert!(client.read_u8().await.is_err());
            assert!(begun.elapsed() <= Duration::from_secs(40), "{:?}", begun.elapsed());
        }
    }

    #[tokio::test]
    async fn a_head_that_cannot_be_served_is_refused_with_its_reason() {
        let cookie = |bytes: usize| {
            let value = "x".repeat(bytes);
            format!("GET / HTTP/1.1\r\nhost: a\r\ncookie: {value}\r\n\r\n")
        };
        let fields: String = (0..120).map(|n| format!("x-{n}: y\r\n")).collect();
        let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
        let cases = [
            (cookie(31 * 1024), "200 OK", "well"),
            (cookie(33 * 1024), "431 Request", "the limits are 32 KiB and 100 fields"),
            (cookie(300 * 1024), "431 Request", "the limits are 32 KiB and 100 fields"),
            (many, "431 Request", "the limits are 32 KiB and 100 fields"),
            ("nonsense\r\n\r\n".into(), "400 Bad Request", "is not HTTP/1.1"),
        ];
        for (request, status, reason) in cases {
            let (mut reading, mut writing) = tokio::io::split(connected());
            let sending = tokio::spawn(async move {
                // It ends early where the server has read enough.
                drop(writing.write_all(request.as_bytes()).await);
            });
            let mut text = String::new();
            while !text.contains(reason) {
                let byte = reading.read_u8().await.expect(&text);
                text.push(byte.into());
            }
            assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{text}");
            drop(reading);
            sending.abort();
        }
    }
}
