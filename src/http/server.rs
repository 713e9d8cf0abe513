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
use tokio::net::TcpStream;
use tokio_io_timeout::TimeoutStream;
use tokio_util::task::TaskTracker;

use super::app_state::AppState;
use super::router;
use crate::connections::{Accepted, Shutdown};

/// What a connection may buffer, in bytes; keeps an idle viewer small. A request's head that does
/// not fit is answered 431.
const MAX_BUFFER_BYTES: usize = 8 * 1024;

/// What the kernel may buffer for a connection that the client does not read, in bytes. The kernel
/// wakes a writer only once a third of it is free: if it could grow to megabytes, a slow reader
/// would look like a stalled one.
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// How long a connection may take to send a request's head; also how long it may stay idle
/// between two requests.
const HEAD_READ_TIMEOUT: Duration = Duration::from_secs(30);

type Io = TokioIo<Pin<Box<TimeoutStream<TcpStream>>>>;
type Connection = http1::Connection<Io, TowerToHyperService<Router>>;

/// Serves `state` on `connections` until `shutdown` drains and every connection has ended, by itself
/// or by its second step. Several may run at once, each on a runtime of its own.
pub async fn serve(connections: impl Stream<Item = Accepted>, state: AppState, shutdown: Shutdown) {
    let stall_timeout = state.options().viewer_stall_timeout;
    let router = router::router(state.on_another_runtime());
    serve_router(connections, router, stall_timeout, shutdown).await;
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
        running.spawn(serve_connection(accepted, router.clone(), stall_timeout, shutdown.clone()));
    }
    running.close();
    running.wait().await;
}

async fn serve_connection(
    accepted: Accepted,
    router: Router,
    stall_timeout: Duration,
    shutdown: Shutdown,
) {
    let Accepted { stream, permit: _permit } = accepted;
    if let Err(error) = tune(&stream) {
        tracing::debug!(%error, "a connection keeps the system's settings");
    }
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(stall_timeout));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_READ_TIMEOUT)
        .max_buf_size(MAX_BUFFER_BYTES)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router));
    if let Err(error) = run(Box::pin(connection), shutdown).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Ends with the connection; while draining after its last response, or when the server waits no
/// longer. The connection is boxed because this future would hold one that is moved in by value
/// twice.
async fn run(mut connection: Pin<Box<Connection>>, shutdown: Shutdown) -> hyper::Result<()> {
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
    use reqwest::Client;
    use tokio::net::TcpListener;

    use super::*;
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
        let client = Client::new();
        let text = async || client.get(&url).send().await.unwrap().text().await.unwrap();
        assert_eq!(text().await, "well");
        assert!(Client::new().get(format!("{url}/panics")).send().await.is_err());
        assert_eq!(text().await, "well");
        shutdown.drain.cancel();
        serving.await.unwrap();
    }
}
