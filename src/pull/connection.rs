//! The way to the source.

use std::time::Duration;

use http::uri::{PathAndQuery, Scheme};
use tonic::client::Grpc;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Streaming};

use super::codec::{Answer, PullCodec};
use super::options::PullOptions;
use super::reason;
use crate::domain::Cursor;
use crate::proto::otto::handler::v1::PullWorkerLogsRequest;

const PULL_METHOD: &str = "otto.handler.v1.WorkerLogSource/PullWorkerLogs";
const PULL_PATH: &str = "/otto.handler.v1.WorkerLogSource/PullWorkerLogs";

/// An answer above this many bytes ends the stream.
const MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// What a stream may have on its way unread, in bytes.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;

/// Effectively none: h2 ends a connection on which many small frames wait unread, by a budget
/// of half of this, and there is only one stream. A full stream is charged 6 MB at most.
const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;

/// How often the source is probed by HTTP/2 PING. Go's gRPC servers by default end connections
/// that are probed more often than every five minutes.
const PING_INTERVAL: Duration = Duration::from_secs(310);

/// How long a probe's answer may take.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How often a silent peer is probed by the kernel: finds one that is gone long before a PING.
const TCP_KEEPALIVE: Duration = Duration::from_secs(20);

/// Unanswered probes of the kernel that end the connection.
const TCP_KEEPALIVE_RETRIES: u32 = 3;

/// How long the source may take to note that we are done.
const DONE_TIMEOUT: Duration = Duration::from_secs(5);

/// The source's endpoint.
///
/// # Errors
/// When the system's certificates are needed and cannot be read.
pub(super) fn endpoint(options: &PullOptions) -> Result<Endpoint, String> {
    let endpoint = Endpoint::from(options.from.clone())
        .connect_timeout(options.answer_timeout)
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
    endpoint.tls_config(tls).map_err(|error| format!("TLS: {}", reason::of_error(&error)))
}

/// A connection to the source.
pub(super) struct Connection(Channel);

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Says why it cannot be reached.
    pub(super) async fn open(options: &PullOptions) -> Result<Self, String> {
        let endpoint = endpoint(options)?;
        let connecting = tokio::time::timeout(options.answer_timeout, endpoint.connect());
        match connecting.await {
            Ok(Ok(channel)) => Ok(Self(channel)),
            Ok(Err(error)) => Err(reason::of_error(&error)),
            Err(_elapsed) => Err(no_answer("the connection is not up", options)),
        }
    }

    /// Asks for what is behind `cursor` and waits for the first answer.
    ///
    /// # Errors
    /// Says why there is none.
    pub(super) async fn pull(
        &self,
        cursor: Option<&Cursor>,
        options: &PullOptions,
    ) -> Result<(Answer, Streaming<Answer>), String> {
        let answering = self.first_answer(request(cursor));
        let answered = tokio::time::timeout(options.answer_timeout, answering).await;
        answered.unwrap_or_else(|_elapsed| Err(no_answer("there is no answer", options)))
    }

    async fn first_answer(
        &self,
        request: PullWorkerLogsRequest,
    ) -> Result<(Answer, Streaming<Answer>), String> {
        let mut answers = self.call(request).await?;
        let first = answers.message().await.map_err(ended)?;
        let first = first.ok_or("the source ended the stream without an answer")?;
        Ok((first, answers))
    }

    /// Tells the source that we are done for now. It is told once: the next request tells it too.
    pub(super) async fn say_done(&self, cursor: Option<&Cursor>) {
        let request = PullWorkerLogsRequest { done: true, ..request(cursor) };
        let told = tokio::time::timeout(DONE_TIMEOUT, async {
            let mut answers = self.call(request).await?;
            answers.message().await.map_err(ended)
        });
        match told.await {
            Ok(Ok(_)) => {}
            Ok(Err(reason)) => tracing::debug!(reason, "the source was not told that we are done"),
            Err(_elapsed) => tracing::debug!("the source did not answer that we are done"),
        }
    }

    async fn call(&self, request: PullWorkerLogsRequest) -> Result<Streaming<Answer>, String> {
        let mut grpc = Grpc::new(self.0.clone()).max_decoding_message_size(MESSAGE_BYTES);
        grpc.ready().await.map_err(|error| reason::of_error(&error))?;
        let path = PathAndQuery::from_static(PULL_PATH);
        let called = grpc.server_streaming(Request::new(request), path, PullCodec).await;
        called.map(tonic::Response::into_inner).map_err(ended)
    }
}

/// Why a stream of answers ended.
#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
pub(super) fn ended(status: tonic::Status) -> String {
    reason::of_status(&status, PULL_METHOD)
}

fn request(cursor: Option<&Cursor>) -> PullWorkerLogsRequest {
    let (epoch, cursor) =
        cursor.map_or((String::new(), 0), |cursor| (cursor.source.to_string(), cursor.number));
    PullWorkerLogsRequest { cursor, epoch, done: false }
}

fn no_answer(what: &str, options: &PullOptions) -> String {
    format!("{what} after {}", humantime::format_duration(options.answer_timeout))
}
