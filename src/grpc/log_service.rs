//! `OttoHandlerLogService`.

use std::pin::Pin;

use futures_util::{Stream, StreamExt};
use tonic::{Code, Request, Response, Status, Streaming};

use super::generated::log::otto_handler_log_service_server::OttoHandlerLogService;
use crate::encode::StatusParts;
use crate::ingest::{AckMode, Answer, End, Exchange, Intake, Item, Notified, Outcome, Slot};
use crate::proto::ottoscaler::log_forward_response::Status as ForwardStatus;
use crate::proto::ottoscaler::worker_status_ack::Status as AckStatus;
use crate::proto::ottoscaler::worker_status_notification::StatusType;
use crate::proto::ottoscaler::{LogForwardResponse, WorkerStatusAck, WorkerStatusNotification};

/// Request metadata that asks for cumulative ACKs, with the value `cumulative`.
const ACK_MODE_KEY: &str = "otto-ack-mode";

pub(super) struct LogService {
    pub(super) intake: Intake,
}

type Responses = Pin<Box<dyn Stream<Item = Result<LogForwardResponse, Status>> + Send>>;

#[tonic::async_trait]
impl OttoHandlerLogService for LogService {
    type ForwardWorkerLogsStream = Responses;

    async fn forward_worker_logs(
        &self,
        request: Request<Streaming<Item>>,
    ) -> Result<Response<Responses>, Status> {
        let mode = ack_mode(&request)?;
        let slot = open(&self.intake)?;
        let exchange = Exchange::new(self.intake.clone(), slot, mode, request.into_inner());
        let responses = exchange.map(|answer| answer.map(response).map_err(status));
        Ok(Response::new(Box::pin(responses)))
    }

    async fn notify_worker_status(
        &self,
        request: Request<WorkerStatusNotification>,
    ) -> Result<Response<WorkerStatusAck>, Status> {
        Ok(Response::new(match self.notify(request.get_ref()).await {
            Ok(Notified::Kept) => ack(AckStatus::Received, String::new()),
            Ok(Notified::Repeated) => {
                ack(AckStatus::Ignored, "the worker's last status was the same".into())
            }
            Err(reason) => ack(AckStatus::Error, reason),
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
pub(super) fn open(intake: &Intake) -> Result<Slot, Status> {
    intake.slot().ok_or_else(|| {
        let limit = intake.limits().streams;
        Status::resource_exhausted(format!("{limit} streams push already, which is the limit"))
    })
}

fn ack_mode<T>(request: &Request<T>) -> Result<AckMode, Status> {
    match request.metadata().get(ACK_MODE_KEY).map(|value| value.as_bytes()) {
        None | Some(b"each") => Ok(AckMode::Each),
        Some(b"cumulative") => Ok(AckMode::Cumulative),
        Some(other) => Err(Status::invalid_argument(format!(
            "{ACK_MODE_KEY} is {:?}, it needs each or cumulative",
            String::from_utf8_lossy(other)
        ))),
    }
}

fn ack(status: AckStatus, message: String) -> WorkerStatusAck {
    WorkerStatusAck { status: status.into(), message }
}

fn response(answer: Answer) -> LogForwardResponse {
    let (status, message) = match answer.outcome {
        Outcome::Kept => (ForwardStatus::Ack, String::new()),
        Outcome::Retry(reason) => (ForwardStatus::Retry, reason),
        Outcome::Dropped(reason) => (ForwardStatus::Drop, reason),
    };
    let sequence = i64::try_from(answer.sequence).unwrap_or(i64::MAX);
    let throttle_ms = i32::try_from(answer.throttle_ms).unwrap_or(i32::MAX);
    LogForwardResponse { status: status.into(), message, sequence, throttle_ms }
}

/// The one place where an exchange's end becomes a gRPC status.
pub(super) fn status(end: End<Status>) -> Status {
    match end {
        // tonic says OUT_OF_RANGE for a message above its limit; gRPC's own servers say
        // RESOURCE_EXHAUSTED, which is what clients know how to read.
        End::Inbound(status) if status.code() == Code::OutOfRange => {
            Status::resource_exhausted(status.message())
        }
        End::Inbound(status) => status,
        End::Log(error) => Status::unavailable(error.to_string()),
        End::Draining => Status::unavailable("the server is shutting down, connect again"),
    }
}
