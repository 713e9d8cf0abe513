//! `OttoHandlerLogService`.

use http::HeaderValue;
use tonic::body::Body;
use tonic::{Request, Response, Status};

use super::ack::WireAck;
use super::generated::log::otto_handler_log_service_server::{
    OttoHandlerLogService, OttoHandlerLogServiceServer,
};
use super::push::{PushCall, PushContext, peer, response};
use crate::encode::{StatusParts, WireLayout};
use crate::ingest::{Ack, AckMode, Ids, Intake, Notified, PushSession, Registry};
use crate::proto::ottoscaler::worker_status_ack::Status as NotifyStatus;
use crate::proto::ottoscaler::{LogForwardResponse, WorkerStatusAck, WorkerStatusNotification};

/// The method that keeps statuses.
pub(super) const NOTIFY: &str = "/ottoscaler.v1.OttoHandlerLogService/NotifyWorkerStatus";

const FORWARD: &str = "/ottoscaler.v1.OttoHandlerLogService/ForwardWorkerLogs";

/// Request metadata that asks for cumulative ACKs, with the value `cumulative`.
const ACK_MODE_KEY: &str = "otto-ack-mode";

/// Response metadata that says with the value `shown` that the stream takes unfinished lines. A
/// producer must not send them to a server that does not say so: it would keep them.
const UNFINISHED_KEY: &str = "otto-partial";

pub(super) struct LogService {
    intake: Intake,
    registry: Registry,
}

/// `ForwardWorkerLogs`, for the server.
pub(super) fn push_call(context: PushContext) -> PushCall {
    PushCall::new(FORWARD, move |request| forward(&context, request))
}

/// The service's other method, for the server.
pub(super) fn service(
    intake: Intake,
    registry: Registry,
) -> OttoHandlerLogServiceServer<LogService> {
    OttoHandlerLogServiceServer::new(LogService { intake, registry })
}

fn forward(
    context: &PushContext,
    request: http::Request<Body>,
) -> Result<http::Response<Body>, Status> {
    let mode = ack_mode(request.headers())?;
    let permit = context.acquire_permit()?;
    let peer = peer(&request);
    let entries = context.entries(request, WireLayout::WorkerLogEntry)?;
    let session = PushSession::new(context.intake.clone(), permit, mode, entries).of_peer(peer);
    let mut response = response(session, forward_response);
    response.headers_mut().insert(UNFINISHED_KEY, HeaderValue::from_static("shown"));
    Ok(response)
}

#[tonic::async_trait]
impl OttoHandlerLogService for LogService {
    async fn notify_worker_status(
        &self,
        request: Request<WorkerStatusNotification>,
    ) -> Result<Response<WorkerStatusAck>, Status> {
        Ok(Response::new(match self.notify(request.get_ref()).await {
            Ok(Notified::Kept) => status_ack(NotifyStatus::Received, String::new()),
            Ok(Notified::Repeated) => {
                let message = "the worker's last status was the same".to_owned();
                status_ack(NotifyStatus::Ignored, message)
            }
            Err(reason) => status_ack(NotifyStatus::Error, reason),
        }))
    }
}

impl LogService {
    async fn notify(&self, notification: &WorkerStatusNotification) -> Result<Notified, String> {
        let parts = StatusParts::try_from(notification).map_err(|error| error.to_string())?;
        let ids = Ids::new(parts.task_id, parts.worker_id).map_err(|error| error.to_string())?;
        let has_ended = parts.state.has_ended();
        let notified = self.intake.notify(parts).await.map_err(|error| error.to_string())?;
        self.registry.note_end(&ids, has_ended);
        Ok(notified)
    }
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

fn status_ack(status: NotifyStatus, message: String) -> WorkerStatusAck {
    WorkerStatusAck { status: status.into(), message }
}

fn forward_response(ack: Ack) -> LogForwardResponse {
    let WireAck { status, message, sequence, throttle_ms } = ack.into();
    LogForwardResponse { status, message, sequence, throttle_ms }
}
