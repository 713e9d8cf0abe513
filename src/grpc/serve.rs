//! Serves gRPC on the connections that one runtime thread gets.

use std::io;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use super::arrival::{Calls, MessageLimit};
use super::connection::{self, Connection};
use super::health::{Health, SERVICES};
use super::message_counter::MessageCounter;
use super::push::{PushContext, PushLayer};
use super::{log_service, streaming_service};
use crate::connections::{Accepted, Shutdown};
use crate::ingest::{IngestBudget, Intake, Registry};
use crate::proto;

/// Unread bytes that a stream may send ahead. See [`CONNECTION_WINDOW_BYTES`].
const STREAM_WINDOW_BYTES: u32 = 32 * 1024;

/// As large as HTTP/2 allows: the streams' own windows bound a connection.
///
/// h2 charges every unread DATA frame under 256 bytes to a budget of half this window and
/// ends the connection when it is used up. The shortest entry is an 11-byte frame, so a full
/// stream window can be charged 22 times its size. Streams that wait for a slow disk must not
/// use the budget up.
const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;

/// Streams of one connection at once: 22 × 32 KiB × 1024 stays below half the window above.
const STREAMS_PER_CONNECTION: u32 = 1024;

/// Request headers in all, in bytes.
const HEADER_LIST_BYTES: u32 = 16 * 1024;

/// A connection that is silent for this long is probed, so that a vanished peer's streams end.
/// By TCP, which costs nothing while lines come; HTTP/2 pings read the clock for every frame.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);

/// The time between two probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// This many unanswered probes end a connection.
const KEEPALIVE_PROBES: u32 = 3;

/// The longest registration, in bytes.
const MAX_REGISTRATION_BYTES: usize = 64 * 1024;

/// The longest message that asks for health or reflection, in bytes; it holds one name.
const MAX_QUESTION_BYTES: usize = 2 * 1024;

/// What the gRPC server needs. Clones share it.
#[derive(Clone)]
pub struct GrpcOptions {
    intake: Intake,
    registry: Registry,
    health: Health,
    calls: Calls,
}

impl GrpcOptions {
    /// A server that gives pushed entries to `intake`, lets the workers of `registry` push by
    /// themselves, and reports `health`.
    pub fn new(intake: Intake, registry: Registry, health: Health) -> Self {
        let entry_bytes = intake.limits().entry_bytes;
        let calls = Calls::new(intake.clone(), move |path| message_limit(path, entry_bytes));
        Self { intake, registry, health, calls }
    }
}

/// How long the messages of a call may be that does not push.
fn message_limit(path: &str, entry_bytes: usize) -> MessageLimit {
    let bytes = match path {
        log_service::NOTIFY => entry_bytes,
        streaming_service::REGISTER => MAX_REGISTRATION_BYTES,
        _ => MAX_QUESTION_BYTES,
    };
    MessageLimit { bytes, is_stream: path.starts_with("/grpc.reflection.") }
}

/// Serves on `connections` until `shutdown` drains and every connection has ended, by itself or by
/// its second step. Several may run at once, each on a runtime thread of its own with `messages` of its own.
///
/// # Errors
/// When the transport cannot be set up.
pub async fn serve(
    connections: impl Stream<Item = Accepted>,
    options: GrpcOptions,
    messages: MessageCounter,
    shutdown: Shutdown,
) -> Result<(), tonic::transport::Error> {
    let GrpcOptions { intake, registry, health, calls } = options;
    let context = PushContext { intake: intake.clone(), messages };
    let budget = intake.budget().clone();
    let pushes = [
        log_service::push_call(context.clone()),
        streaming_service::push_call(context, registry.clone()),
    ];
    let Shutdown { drain, disconnect } = shutdown;
    // A token of this thread's own: every connection that waits for its peer looks at it.
    let incoming = incoming(connections, budget, disconnect.child_token());
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .http2_max_header_list_size(HEADER_LIST_BYTES)
        .layer(PushLayer::new(pushes, calls))
        .add_service(log_service::service(intake, registry.clone()))
        .add_service(streaming_service::service(registry))
        .add_service(health.service())
        .add_service(reflection().build_v1().expect("the built-in descriptors are valid"))
        .add_service(reflection().build_v1alpha().expect("the built-in descriptors are valid"))
        .serve_with_incoming_shutdown(incoming, drain.cancelled_owned())
        .await
}

fn incoming(
    connections: impl Stream<Item = Accepted>,
    budget: IngestBudget,
    disconnect: CancellationToken,
) -> impl Stream<Item = io::Result<Connection>> {
    connections.map(move |Accepted { stream, permit }| {
        if let Err(error) = tune(&stream) {
            tracing::debug!(%error, "a connection keeps the system's settings");
        }
        Ok(connection::new(stream, budget.connection(), permit, disconnect.clone()))
    })
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    // Without it small responses wait for the peer's delayed TCP ACK.
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Reflection over the services that are served, and no others.
fn reflection() -> tonic_reflection::server::Builder<'static> {
    SERVICES.iter().fold(
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET),
        |builder, service| builder.with_service_name(*service),
    )
}
