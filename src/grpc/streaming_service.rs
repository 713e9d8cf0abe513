//! `LogStreamingService`: worker pods that push without ottoscaler between.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use futures_util::StreamExt;
use tonic::body::Body;
use tonic::{Request, Response, Status};

use super::MESSAGE_BYTES;
use super::generated::streaming::log_streaming_service_server::{
    LogStreamingService, LogStreamingServiceServer,
};
use super::log_service::open;
use super::push::{Push, answers, entries};
use crate::encode::WireLayout;
use crate::ingest::{Ack, AckMode, AckStatus, Ids, Intake, PushSession, Registered, Registry};
use crate::proto::ottoscaler::log_response::Status as EntryStatus;
use crate::proto::ottoscaler::registration_response::Status as RegistrationStatus;
use crate::proto::ottoscaler::{
    LogResponse, LoggingConfig, RegistrationResponse, WorkerRegistration,
};

const STREAM: &str = "/ottoscaler.v1.LogStreamingService/StreamLogs";

/// What ottoscaler asks of its workers. Advice: a worker that does more is served all the same.
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
pub(super) fn push(intake: Intake, registry: Registry) -> Push {
    Push::new(STREAM, move |request| stream(&intake, &registry, request))
}

/// The service's other method, for the server.
pub(super) fn service(registry: Registry) -> LogStreamingServiceServer<StreamingService> {
    let service = StreamingService { registry };
    LogStreamingServiceServer::new(service).max_decoding_message_size(MESSAGE_BYTES)
}

fn stream(
    intake: &Intake,
    registry: &Registry,
    request: http::Request<Body>,
) -> Result<http::Response<Body>, Status> {
    let permit = open(intake)?;
    let numbering = SessionSequence::default();
    let (registry, counting) = (registry.clone(), numbering.clone());
    let inbound = entries(request, WireLayout::LogEntry)?.map(move |item| {
        item.map(|item| {
            let (item, count) = registry.admit(item);
            counting.note(count);
            item
        })
    });
    let session = PushSession::new(intake.clone(), permit, AckMode::Each, inbound);
    Ok(answers(session, move |answer| numbering.response(answer)))
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
        let (status, message, session_id) = match self.registry.register(ids) {
            Registered::New(id) => (RegistrationStatus::Success, String::new(), id),
            Registered::Already(id) => {
                let message = "the worker is registered already".to_owned();
                (RegistrationStatus::AlreadyRegistered, message, id)
            }
            Registered::Full => {
                let limit = self.registry.limit();
                let message = format!("{limit} workers are registered, which is the limit");
                (RegistrationStatus::ServerFull, message, String::new())
            }
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

/// How a stream's ordinals become its session's: by what the session counted before.
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
    /// Notes the stream's next entry and the session's count with it.
    fn note(&self, count: Option<u64>) {
        let read = self.0.read.fetch_add(1, Relaxed) + 1;
        if let Some(count) = count {
            self.0.before.get_or_init(|| count.saturating_sub(read));
        }
    }

    fn response(&self, answer: Ack) -> LogResponse {
        let (status, message) = match answer.outcome {
            AckStatus::Kept => (EntryStatus::Ack, String::new()),
            AckStatus::Retry(reason) => (EntryStatus::Retry, reason),
            AckStatus::Dropped(reason) => (EntryStatus::Drop, reason),
        };
        let sequence = self.0.before.get().copied().unwrap_or(0) + answer.sequence;
        let sequence = i64::try_from(sequence).unwrap_or(i64::MAX);
        LogResponse { status: status.into(), message, sequence }
    }
}
