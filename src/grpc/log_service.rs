//! `OttoHandlerLogService`.

use tonic::body::Body;
use tonic::{Request, Response, Status};

use super::MESSAGE_BYTES;
use super::generated::log::otto_handler_log_service_server::{
    OttoHandlerLogService, OttoHandlerLogServiceServer,
};
use super::push::{Push, answers, entries};
use crate::encode::{StatusParts, WireLayout};
use crate::ingest::{Ack, AckMode, AckStatus, Intake, Notified, PushSession, StreamPermit};
use crate::proto::ottoscaler::log_forward_response::Status as ForwardStatus;
use crate::proto::ottoscaler::worker_status_ack::Status as NotifyStatus;
use crate::proto::ottoscaler::worker_status_notification::StatusType;
use crate::proto::ottoscaler::{LogForwardResponse, WorkerStatusAck, WorkerStatusNotification};

const FORWARD: &str = "/ottoscaler.v1.OttoHandlerLogService/ForwardWorkerLogs";

/// Request metadata that asks for cumulative ACKs, with the value `cumulative`.
const ACK_MODE_KEY: &str = "otto-ack-mode";

pub(super) struct LogService {
    intake: Intake,
}

/// `ForwardWorkerLogs`, for the server.
pub(super) fn push(intake: Intake) -> Push {
    Push::new(FORWARD, move |request| forward(&intake, request))
}

/// The service's other method, for the server.
pub(super) fn service(intake: Intake) -> OttoHandlerLogServiceServer<LogService> {
    OttoHandlerLogServiceServer::new(LogService { intake }).max_decoding_message_size(MESSAGE_BYTES)
}

fn forward(intake: &Intake, request: http::Request<Body>) -> Result<http::Response<Body>, Status> {
    let mode = ack_mode(request.headers())?;
    let permit = open(intake)?;
    let entries = entries(request, WireLayout::WorkerLogEntry)?;
    let session = PushSession::new(intake.clone(), permit, mode, entries);
    Ok(answers(session, response))
}

#[tonic::async_trait]
impl OttoHandlerLogService for LogService {
    async fn notify_worker_status(
        &self,
        request: Request<WorkerStatusNotification>,
    ) -> Result<Response<WorkerStatusAck>, Status> {
        Ok(Response::new(match self.notify(request.get_ref()).await {
            Ok(Notified::Kept) => ack(NotifyStatus::Received, String::new()),
            Ok(Notified::Repeated) => {
                ack(NotifyStatus::Ignored, "the worker's last status was the same".into())
            }
            Err(reason) => ack(NotifyStatus::Error, reason),
        }))
    }
}

impl LogService {
    async fn notify(&self, told: &WorkerStatusNotification) -> Result<Notified, String> {
        let state = StatusType::try_from(told.status).map_err(|_| {
            format!("status is {}, it needs 0 (CREATED) to 4 (TERMINATED)", told.status)
        })?;
        let mut metadata: Vec<_> =
            told.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        metadata.sort_unstable();
        let parts = StatusParts {
            task_id: &told.task_id,
            worker_id: &told.worker_id,
            state: state.into(),
            timestamp: &told.timestamp,
            reason: &told.reason,
            metadata,
        };
        self.intake.notify(parts).await.map_err(|error| error.to_string())
    }
}

/// A place for one more stream.
pub(super) fn open(intake: &Intake) -> Result<StreamPermit, Status> {
    intake.permit().ok_or_else(|| {
        let limit = intake.limits().streams;
        Status::resource_exhausted(format!("{limit} streams push already, which is the limit"))
    })
}

fn ack_mode(headers: &http::HeaderMap) -> Result<AckMode, Status> {
    match headers.get(ACK_MODE_KEY).map(|value| value.as_bytes()) {
        None | Some(b"each") => Ok(AckMode::Each),
        Some(b"cumulative") => Ok(AckMode::Cumulative),
        Some(other) => Err(Status::invalid_argument(format!(
            "{ACK_MODE_KEY} is {:?}, it needs each or cumulative",
            String::from_utf8_lossy(other)
        ))),
    }
}

fn ack(status: NotifyStatus, message: String) -> WorkerStatusAck {
    WorkerStatusAck { status: status.into(), message }
}

fn response(answer: Ack) -> LogForwardResponse {
    let (status, message) = match answer.outcome {
        AckStatus::Kept => (ForwardStatus::Ack, String::new()),
        AckStatus::Retry(reason) => (ForwardStatus::Retry, reason),
        AckStatus::Dropped(reason) => (ForwardStatus::Drop, reason),
    };
    let sequence = i64::try_from(answer.sequence).unwrap_or(i64::MAX);
    let throttle_ms = i32::try_from(answer.throttle_ms).unwrap_or(i32::MAX);
    LogForwardResponse { status: status.into(), message, sequence, throttle_ms }
}
