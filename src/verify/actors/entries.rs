//! The push protocol, as little of it as a producer needs: the only file here that knows tonic.

use std::collections::HashMap;
use std::time::Duration;

use http::Uri;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};

use crate::causes::root_cause;
use crate::proto::ottoscaler::log_forward_response::Status;
use crate::proto::ottoscaler::otto_handler_log_service_client::OttoHandlerLogServiceClient;
use crate::proto::ottoscaler::worker_status_notification::StatusType;
use crate::proto::ottoscaler::{LogForwardResponse, WorkerLogEntry, WorkerStatusNotification};

/// How long a connection, the head of an answer, or an answer to a status may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where producers push to.
#[derive(Debug, Clone)]
pub(crate) struct PushTarget {
    /// The gRPC address, `http://host:port`.
    pub(crate) to: Uri,
    /// Sent as `authorization: Bearer`.
    pub(crate) token: Option<String>,
}

/// One line on its way.
pub(super) struct Entry<'a> {
    pub(super) task: &'a str,
    pub(super) worker: &'a str,
    pub(super) text: String,
    /// The session and the line's number, where lines are resent.
    pub(super) numbered: Option<(&'a str, u64)>,
}

/// The message of an ACK that comes again because its stream is idle.
pub(super) const STILL_HERE: &str = "still here";

/// What the server says to a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) kind: AnswerKind,
    pub(super) sequence: i64,
    pub(super) message: String,
    /// How long to send nothing.
    pub(super) pause: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerKind {
    Ack,
    Retry,
    Drop,
}

/// One stream of `ForwardWorkerLogs`: its two directions.
pub(super) struct Push {
    pub(super) entries: mpsc::Sender<WorkerLogEntry>,
    pub(super) answers: Answers,
}

/// What the server says, line by line.
pub(super) struct Answers(Streaming<LogForwardResponse>);

impl PushTarget {
    async fn client(&self) -> Result<OttoHandlerLogServiceClient<Channel>, String> {
        let endpoint = Endpoint::from(self.to.clone()).connect_timeout(PATIENCE);
        let channel = endpoint.connect().await.map_err(|error| root_cause(&error))?;
        Ok(OttoHandlerLogServiceClient::new(channel).max_encoding_message_size(16 << 20))
    }

    fn request<T>(&self, message: T) -> Result<Request<T>, String> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            let value = format!("Bearer {token}").parse::<MetadataValue<_>>();
            let value = value.map_err(|_| "the token cannot stand in a header".to_owned())?;
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }

    /// Opens a stream on a connection of its own.
    pub(super) async fn open(&self, is_cumulative: bool) -> Result<Push, String> {
        let mut client = self.client().await?;
        let (entries, outbound) = mpsc::channel(1);
        let mut request = self.request(ReceiverStream::new(outbound))?;
        if is_cumulative {
            let mode = MetadataValue::from_static("cumulative");
            request.metadata_mut().insert("otto-ack-mode", mode);
        }
        let opened = timeout(PATIENCE, client.forward_worker_logs(request)).await;
        let opened = opened.map_err(|_| "no answer to a stream".to_owned())?;
        let answers = opened.map_err(|status| status.to_string())?.into_inner();
        Ok(Push { entries, answers: Answers(answers) })
    }

    /// Tells that a worker has completed.
    pub(super) async fn complete(&self, task: &str, worker: &str) -> Result<(), String> {
        let notification = WorkerStatusNotification {
            worker_id: worker.to_owned(),
            task_id: task.to_owned(),
            status: StatusType::Completed.into(),
            timestamp: now(),
            ..Default::default()
        };
        let request = self.request(notification)?;
        let mut client = self.client().await?;
        let told = timeout(PATIENCE, client.notify_worker_status(request)).await;
        let told = told.map_err(|_| "no answer to a status".to_owned())?;
        told.map(drop).map_err(|status| status.to_string())
    }
}

impl Answers {
    /// The next answer; `None` at the stream's end. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Result<Option<Answer>, String> {
        let message = self.0.message().await.map_err(|status| status.to_string())?;
        Ok(message.map(|found| Answer {
            kind: match found.status() {
                Status::Ack => AnswerKind::Ack,
                Status::Retry => AnswerKind::Retry,
                Status::Drop => AnswerKind::Drop,
            },
            sequence: found.sequence,
            pause: Duration::from_millis(u64::try_from(found.throttle_ms).unwrap_or(0)),
            message: found.message,
        }))
    }
}

impl From<Entry<'_>> for WorkerLogEntry {
    fn from(entry: Entry<'_>) -> Self {
        let metadata = entry.numbered.map(|(session, number)| {
            let session = ("otto.session".to_owned(), session.to_owned());
            HashMap::from([session, ("otto.seq".to_owned(), number.to_string())])
        });
        Self {
            worker_id: entry.worker.to_owned(),
            task_id: entry.task.to_owned(),
            timestamp: now(),
            level: "INFO".into(),
            source: "stdout".into(),
            message: entry.text,
            metadata: metadata.unwrap_or_default(),
            ..Default::default()
        }
    }
}

fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
