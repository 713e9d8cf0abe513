//! The gRPC server on one listener.

use std::io;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use super::connection::Connection;
use super::health::{Health, SERVICES};
use super::push::PushLayer;
use super::{log_service, streaming_service};
use crate::ingest::{Intake, Registry};
use crate::proto;

/// What a stream may have on its way unread, in bytes. See [`CONNECTION_WINDOW_BYTES`].
const STREAM_WINDOW_BYTES: u32 = 32 * 1024;

/// Effectively none: the streams' own windows are what bounds a connection.
///
/// h2 charges every unread DATA frame under 256 bytes to a budget of half this window and
/// ends the connection when it is used up. The shortest entry is an 11-byte frame, so a full
/// stream window can be charged 22 times its size, and streams held back for a slow disk must
/// not cost them their connection.
const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;

/// Streams of one connection at once: 22 × 32 KiB × 1024 stays below half the window above.
const STREAMS_PER_CONNECTION: u32 = 1024;

/// Request headers in all, in bytes.
const HEADER_LIST_BYTES: u32 = 16 * 1024;

/// After how much silence a connection is probed, so that a vanished peer's streams end. By TCP,
/// which costs nothing while lines come; HTTP/2 pings keep a clock per frame.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);

/// The time between two probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Probes without an answer that end a connection.
const KEEPALIVE_PROBES: u32 = 3;

/// What the gRPC server needs. Clones share it.
#[derive(Clone)]
pub struct GrpcOptions {
    /// Where pushed entries go.
    pub intake: Intake,
    /// Which workers may push by themselves.
    pub registry: Registry,
    /// What the health service answers.
    pub health: Health,
}

/// Serves on `connections` until `drain` is cancelled and every connection has ended. Several
/// may run at once, each on a runtime of its own.
///
/// # Errors
/// When the transport cannot be set up.
pub async fn serve(
    connections: impl Stream<Item = TcpStream>,
    options: GrpcOptions,
    drain: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let GrpcOptions { intake, registry, health } = options;
    let pushes = [
        log_service::push(intake.clone()),
        streaming_service::push(intake.clone(), registry.clone()),
    ];
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .http2_max_header_list_size(HEADER_LIST_BYTES)
        .layer(PushLayer::new(pushes))
        .add_service(log_service::service(intake))
        .add_service(streaming_service::service(registry))
        .add_service(health.service())
        .add_service(reflection().build_v1().expect("the built-in descriptors are valid"))
        .add_service(reflection().build_v1alpha().expect("the built-in descriptors are valid"))
        .serve_with_incoming_shutdown(incoming(connections), drain.cancelled_owned())
        .await
}

fn incoming(
    connections: impl Stream<Item = TcpStream>,
) -> impl Stream<Item = io::Result<Connection>> {
    connections.map(|connection| {
        if let Err(error) = tune(&connection) {
            tracing::debug!(%error, "a connection keeps the system's settings");
        }
        Ok(Connection::new(connection))
    })
}

fn tune(connection: &TcpStream) -> io::Result<()> {
    // Without it small answers wait for the peer's delayed ACK.
    connection.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    SockRef::from(connection).set_tcp_keepalive(&keepalive)
}

/// Reflection over what is served, no more.
fn reflection() -> tonic_reflection::server::Builder<'static> {
    SERVICES.iter().fold(
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET),
        |builder, service| builder.with_service_name(*service),
    )
}
