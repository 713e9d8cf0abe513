//! `LogStreamingService`: for worker pods that push their own logs, without ottoscaler.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use futures_util::StreamExt;
use tonic::body::Body;
use tonic::{Request, Response, Status};

use super::ack::WireAck;
use super::generated::streaming::log_streaming_service_server::{
    LogStreamingService, LogStreamingServiceServer,
};
use super::push::{PushCall, PushContext, peer, response};
use crate::encode::WireLayout;
use crate::ingest::{
    Ack, AckMode, Admitted, Ids, PushSession, Registered, RegisteredEntries, Registry,
};
use crate::proto::ottoscaler::registration_response::Status as RegistrationStatus;
use crate::proto::ottoscaler::{
    LogResponse, LoggingConfig, RegistrationResponse, WorkerRegistration,
};

/// The method that registers workers.
pub(super) const REGISTER: &str = "/ottoscaler.v1.LogStreamingService/RegisterWorker";

const STREAM: &str = "/ottoscaler.v1.LogStreamingService/StreamLogs";

/// What ottoscaler asks of its workers. Nothing enforces it: a worker that sends more is served.
const LOGGING_CONFIG: LoggingConfig = LoggingConfig {
    rate_limit: 100,
    buffer_size: 50,
    max_message_size: 1024,
    include_metadata: true,
};

pub(super) struct StreamingService {
    registry: Registry,
}

/// `StreamLogs`, for the server.
pub(super) fn push_call(context: PushContext, registry: Registry) -> PushCall {
    PushCall::new(STREAM, move |request| stream(&context, &registry, request))
}

/// The service's other method, for the server.
pub(super) fn service(registry: Registry) -> LogStreamingServiceServer<StreamingService> {
    LogStreamingServiceServer::new(StreamingService { registry })
}

fn stream(
    context: &PushContext,
    registry: &Registry,
    request: http::Request<Body>,
) -> Result<http::Response<Body>, Status> {
    let permit = context.acquire_permit()?;
    let sequence = SessionSequence::default();
    let counting = sequence.clone();
    let peer = peer(&request);
    let entries = context.entries(request, WireLayout::LogEntry)?;
    let log = Arc::clone(context.intake.log());
    let entries = RegisteredEntries::new(entries, registry.clone(), log).map(move |admitted| {
        admitted.map(|Admitted { incoming, count }| {
            counting.count(count);
            incoming
        })
    });
    let session = PushSession::new(context.intake.clone(), permit, AckMode::Each, entries);
    Ok(response(session.of_peer(peer), move |ack| sequence.response(ack)))
}

#[tonic::async_trait]
impl LogStreamingService for StreamingService {
    async fn register_worker(
        &self,
        request: Request<WorkerRegistration>,
    ) -> Result<Response<RegistrationResponse>, Status> {
        let WorkerRegistration { task_id, worker_id, .. } = request.get_ref();
        let ids = Ids::new(task_id, worker_id)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let (status, message, session_id) = match self.registry.register(&ids) {
            Registered::New(id) => (RegistrationStatus::Success, String::new(), id),
            Registered::Already(id) => {
                let message = "the worker is registered already".to_owned();
                (RegistrationStatus::AlreadyRegistered, message, id)
            }
            Registered::Full(reason) => (RegistrationStatus::ServerFull, reason, String::new()),
        };
        let config = (status != RegistrationStatus::ServerFull).then_some(LOGGING_CONFIG);
        Ok(Response::new(RegistrationResponse {
            status: status.into(),
            message,
            session_id,
            config,
        }))
    }
}

/// Turns an entry's ordinal in its stream into its ordinal in its worker's session, which may
/// have had streams before.
#[derive(Debug, Clone, Default)]
struct SessionSequence(Arc<SequenceState>);

#[derive(Debug, Default)]
struct SequenceState {
    /// Entries of the stream so far.
    read: AtomicU64,
    /// Entries of the session before the stream's first; set with its first counted entry.
    before: OnceLock<u64>,
}

impl SessionSequence {
    /// Counts the stream's next entry, whose ordinal in the session is `count`.
    fn count(&self, count: Option<u64>) {
        let read = self.0.read.fetch_add(1, Relaxed) + 1;
        if let Some(count) = count {
            self.0.before.get_or_init(|| count.saturating_sub(read));
        }
    }

    fn response(&self, ack: Ack) -> LogResponse {
        let sequence = self.0.before.get().copied().unwrap_or(0) + ack.sequence;
        let WireAck { status, message, sequence, .. } = Ack { sequence, ..ack }.into();
        LogResponse { status, message, sequence }
    }
}
