//! Connects to the source and calls it.

use std::time::Duration;

use http::uri::{PathAndQuery, Scheme};
use tonic::client::Grpc;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Streaming};

use super::codec::{PullCodec, PullResponse};
use super::options::PullOptions;
use super::reason;
use crate::causes::with_causes;
use crate::domain::Cursor;
use crate::proto::otto::handler::v1::PullWorkerLogsRequest;

const PULL_METHOD: &str = "otto.handler.v1.WorkerLogSource/PullWorkerLogs";
const PULL_PATH: &str = "/otto.handler.v1.WorkerLogSource/PullWorkerLogs";

/// A response above this many bytes ends the stream.
const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// Unread bytes that the source may send ahead.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;

/// As large as HTTP/2 allows: h2 ends a connection on which many small frames wait unread, by a
/// budget of half of this. There is only one stream, which is charged 6 MB at most.
const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;

/// How often the source is probed by HTTP/2 PING. Go's gRPC servers by default end connections
/// that are probed more often than every five minutes.
const PING_INTERVAL: Duration = Duration::from_secs(310);

/// How long the answer to a PING may take.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How often the kernel probes a silent source; it finds one that is gone long before a PING.
const TCP_KEEPALIVE: Duration = Duration::from_secs(20);

/// Unanswered probes of the kernel that end the connection.
const TCP_KEEPALIVE_RETRIES: u32 = 3;

/// How long the source may take to respond when we are done.
const DONE_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects to the source.
///
/// # Errors
/// Says why it cannot be reached.
pub(super) async fn connect(options: &PullOptions) -> Result<Channel, String> {
    let endpoint = endpoint(options)?;
    let connected = tokio::time::timeout(options.response_timeout, endpoint.connect()).await;
    let connected = connected.map_err(|_elapsed| timed_out("the connection is not up", options))?;
    connected.map_err(|error| with_causes(&error))
}

/// # Errors
/// When the system's certificates are needed and cannot be read.
fn endpoint(options: &PullOptions) -> Result<Endpoint, String> {
    let endpoint = Endpoint::from(options.from.clone())
        .connect_timeout(options.response_timeout)
        .tcp_nodelay(true)
        .tcp_keepalive(Some(TCP_KEEPALIVE))
        .tcp_keepalive_interval(Some(TCP_KEEPALIVE))
        .tcp_keepalive_retries(Some(TCP_KEEPALIVE_RETRIES))
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    if options.from.scheme() != Some(&Scheme::HTTPS) {
        return Ok(endpoint);
    }
    let tls = ClientTlsConfig::new().with_native_roots();
    endpoint.tls_config(tls).map_err(|error| format!("TLS: {}", with_causes(&error)))
}

/// A pull that the source has responded to.
pub(super) struct OpenPull {
    pub(super) first: PullResponse,
    /// What comes after it.
    pub(super) responses: Streaming<PullResponse>,
}

/// A connection to the source.
pub(super) struct Connection(Channel);

impl Connection {
    /// # Errors
    /// Says why the source cannot be reached.
    pub(super) async fn open(options: &PullOptions) -> Result<Self, String> {
        connect(options).await.map(Self)
    }

    /// Asks for what is behind `cursor` and waits for the first response.
    ///
    /// # Errors
    /// Says why there is none.
    pub(super) async fn pull(
        &self,
        cursor: Option<&Cursor>,
        options: &PullOptions,
    ) -> Result<OpenPull, String> {
        let first = self.first_response(request(cursor));
        let first = tokio::time::timeout(options.response_timeout, first).await;
        first.unwrap_or_else(|_elapsed| Err(timed_out("there is no response", options)))
    }

    async fn first_response(&self, request: PullWorkerLogsRequest) -> Result<OpenPull, String> {
        let mut responses = self.call(request).await?;
        let first = responses.message().await.map_err(ended)?;
        let first = first.ok_or("the source ended the stream without a response")?;
        Ok(OpenPull { first, responses })
    }

    /// Tells the source that we are done for now. Failures are only logged: the next request has
    /// the same cursor.
    pub(super) async fn say_done(&self, cursor: Option<&Cursor>) {
        let request = PullWorkerLogsRequest { done: true, ..request(cursor) };
        let noted = tokio::time::timeout(DONE_TIMEOUT, async {
            let mut responses = self.call(request).await?;
            responses.message().await.map_err(ended)
        });
        match noted.await {
            Ok(Ok(_)) => {}
            Ok(Err(reason)) => tracing::debug!(reason, "the source does not know that we are done"),
            Err(_elapsed) => tracing::debug!("the source did not respond when we were done"),
        }
    }

    async fn call(
        &self,
        request: PullWorkerLogsRequest,
    ) -> Result<Streaming<PullResponse>, String> {
        let mut grpc = Grpc::new(self.0.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
        grpc.ready().await.map_err(|error| with_causes(&error))?;
        let path = PathAndQuery::from_static(PULL_PATH);
        let called = grpc.server_streaming(Request::new(request), path, PullCodec).await;
        called.map(tonic::Response::into_inner).map_err(ended)
    }
}

/// Why a stream of responses ended.
#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
pub(super) fn ended(status: tonic::Status) -> String {
    reason::of_status(&status, PULL_METHOD)
}

fn request(cursor: Option<&Cursor>) -> PullWorkerLogsRequest {
    let (epoch, cursor) =
        cursor.map_or((String::new(), 0), |cursor| (cursor.source.to_string(), cursor.number));
    PullWorkerLogsRequest { cursor, epoch, done: false }
}

fn timed_out(what: &str, options: &PullOptions) -> String {
    format!("{what} after {}", humantime::format_duration(options.response_timeout))
}
