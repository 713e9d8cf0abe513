//! Pushes a plan's builds the way ottoscaler's own client does.
//!
//! One stream per worker, opened at its first line, with a deadline of 30 minutes and no
//! metadata. Lines go out without waiting for acks; a second task reads those, sleeps
//! `throttle_ms` after an ACK, and only counts RETRY and DROP. Nothing is ever sent again.
//! At the end the stream is half-closed, and the acks are read to their end, so that the report
//! says of each line what became of it. Today's ottoscaler cancels at once instead, which loses the
//! last acks and may lose lines: [`Ending::Cancel`].

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::try_join_all;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Uri};
use tonic::{Request, Status, Streaming};

use super::build::Line;
use super::plan::{Plan, Worker};
use super::rate::LineRate;
use crate::causes::root_cause;
use crate::domain::IdError;
use crate::proto::ottoscaler::log_forward_response::Status as AckStatus;
use crate::proto::ottoscaler::otto_handler_log_service_client::OttoHandlerLogServiceClient;
use crate::proto::ottoscaler::worker_status_ack::Status as StatusAckStatus;
use crate::proto::ottoscaler::worker_status_notification::StatusType;
use crate::proto::ottoscaler::{
    LogForwardResponse, WorkerLogEntry, WorkerMetadata, WorkerStatusNotification,
};

/// ottoscaler's deadline for a stream.
const STREAM_DEADLINE: Duration = Duration::from_secs(30 * 60);

/// How long the acks of a half-closed stream are waited for; longer than a server waits before it
/// answers RETRY.
const ACK_TIMEOUT: Duration = Duration::from_secs(60);

type Client = OttoHandlerLogServiceClient<Channel>;

/// How a worker's stream ends once it is half-closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The acks are read to their end.
    ReadAcks,
    /// It is cancelled at once, as today's ottoscaler does.
    Cancel,
}

/// What became of a push, as the acks say. Those that came after a cancel are not counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Lines printed by the builds.
    pub sent: u64,
    /// Lines with an ACK: the server keeps them.
    pub kept: u64,
    /// Lines with a RETRY; they are not sent again.
    pub retried: u64,
    /// Lines with a DROP.
    pub dropped: u64,
    /// Why one of the lines that are not known to be kept is not: the server's words.
    pub reason: Option<String>,
    /// Status notifications whose ack was anything but RECEIVED.
    pub status_warnings: u64,
}

impl Report {
    /// Lines without an ack. Whether the server keeps them is unknown.
    pub fn unanswered(&self) -> u64 {
        self.sent.saturating_sub(self.kept + self.retried + self.dropped)
    }

    fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.kept += other.kept;
        self.retried += other.retried;
        self.dropped += other.dropped;
        self.reason = self.reason.take().or(other.reason);
        self.status_warnings += other.status_warnings;
    }

    fn add_ack(&mut self, ack: &LogForwardResponse) {
        match ack.status() {
            AckStatus::Ack => return self.kept += 1,
            AckStatus::Retry => self.retried += 1,
            AckStatus::Drop => self.dropped += 1,
        }
        self.reason.get_or_insert_with(|| ack.message.clone());
    }
}

/// How the builds are pushed.
#[derive(Debug, Clone, Copy)]
struct Manner {
    rate: LineRate,
    ending: Ending,
}

/// Why a push failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A worker's id would be too long.
    #[error(transparent)]
    Id(#[from] IdError),
    /// The server cannot be reached.
    #[error("cannot connect to {to}: {reason}")]
    Connect {
        /// The address.
        to: String,
        /// Why.
        reason: String,
    },
    /// A call failed.
    #[error("the call failed with {}: {}", .0.code(), .0.message())]
    Call(Box<Status>),
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Call(Box::new(status))
    }
}

/// Pushes all builds of `plan` side by side over one connection.
///
/// # Errors
/// When the server cannot be reached, or a call fails.
pub async fn push(to: Uri, plan: &Plan, rate: LineRate, ending: Ending) -> Result<Report, Error> {
    let workers = plan.workers()?;
    let connected = Channel::builder(to.clone()).connect().await;
    let client = Client::new(connected.map_err(|error| Error::Connect {
        to: to.to_string().trim_end_matches('/').to_owned(),
        reason: root_cause(&error),
    })?);
    let manner = Manner { rate, ending };
    let pushes = workers.iter().map(|worker| push_worker(client.clone(), worker, manner));
    let mut total = Report::default();
    try_join_all(pushes).await?.into_iter().for_each(|report| total.add(report));
    Ok(total)
}

async fn push_worker(mut client: Client, worker: &Worker, manner: Manner) -> Result<Report, Error> {
    let mut report = Report::default();
    for status in [StatusType::Created, StatusType::Running] {
        notify(&mut client, worker, status, &mut report).await?;
    }
    push_lines(&mut client, worker, manner, &mut report).await?;
    let last = if worker.fails { StatusType::Failed } else { StatusType::Completed };
    notify(&mut client, worker, last, &mut report).await?;
    Ok(report)
}

async fn push_lines(
    client: &mut Client,
    worker: &Worker,
    manner: Manner,
    report: &mut Report,
) -> Result<(), Error> {
    let metadata = pod_metadata(worker);
    let mut clock = Clock::start(manner.rate);
    let mut stream = None;
    for line in worker.lines() {
        clock.wait(line.effort).await;
        let open = open_stream(client, stream.take(), report).await?;
        // A stream that breaks in this moment loses the line, as it does for ottoscaler.
        open.entries.send(entry(worker, &metadata, line)).await.ok();
        report.sent += 1;
        stream = Some(open);
    }
    match stream {
        Some(stream) => stream.close(manner.ending, report).await,
        None => Ok(()),
    }
}

/// The stream itself while the server reads it, else a new one.
async fn open_stream(
    client: &Client,
    stream: Option<WorkerStream>,
    report: &mut Report,
) -> Result<WorkerStream, Error> {
    match stream {
        Some(open) if !open.entries.is_closed() => return Ok(open),
        Some(broken) => broken.close(Ending::ReadAcks, report).await?,
        None => {}
    }
    Ok(WorkerStream::open(client.clone()))
}

/// When the next line is due.
struct Clock {
    rate: LineRate,
    due: Instant,
}

impl Clock {
    fn start(rate: LineRate) -> Self {
        Self { rate, due: Instant::now() }
    }

    async fn wait(&mut self, effort: u32) {
        if self.rate == LineRate::Unbounded {
            return;
        }
        self.due += self.rate.duration(effort.into());
        if self.due > Instant::now() {
            sleep_until(self.due).await;
        }
    }
}

struct WorkerStream {
    entries: mpsc::Sender<WorkerLogEntry>,
    acks: JoinHandle<Result<Report, Status>>,
    /// Resolves once the half-close is on its way.
    half_closed: oneshot::Receiver<()>,
    cancel: CancellationToken,
}

impl WorkerStream {
    fn open(mut client: Client) -> Self {
        let (entries, receiver) = mpsc::channel(1);
        let (body_lives, half_closed) = oneshot::channel();
        let body = ReceiverStream::new(receiver).inspect(move |_| {
            let _until_dropped: &oneshot::Sender<()> = &body_lives;
        });
        let mut request = Request::new(body);
        request.set_timeout(STREAM_DEADLINE);
        let cancel = CancellationToken::new();
        let cancelled = cancel.clone();
        let acks = tokio::spawn(async move {
            let acks = client.forward_worker_logs(request).await?.into_inner();
            Ok(read_acks(acks, cancelled).await)
        });
        Self { entries, acks, half_closed, cancel }
    }

    /// Half-closes, and counts the acks.
    async fn close(self, ending: Ending, report: &mut Report) -> Result<(), Error> {
        let Self { entries, mut acks, half_closed, cancel } = self;
        drop(entries);
        // grpc-go's Send returns once a message is handed to the connection; here that is
        // certain only when the request body is dropped, which the channel reports as an error.
        half_closed.await.ok();
        let in_time = match ending {
            Ending::ReadAcks => timeout(ACK_TIMEOUT, &mut acks).await.ok(),
            Ending::Cancel => None,
        };
        cancel.cancel();
        let counted = match in_time {
            Some(counted) => counted,
            None => acks.await,
        };
        // The task is never aborted and does not panic, so only its own result matters.
        if let Ok(counted) = counted {
            report.add(counted?);
        }
        Ok(())
    }
}

async fn read_acks(mut acks: Streaming<LogForwardResponse>, cancel: CancellationToken) -> Report {
    let mut report = Report::default();
    let mut last = 0;
    while let Some(answer) = cancel.run_until_cancelled(acks.message()).await {
        let ack = match answer {
            Ok(Some(ack)) => ack,
            Ok(None) => break,
            Err(status) => {
                // What was sent and has no ack is told with this reason.
                report.reason.get_or_insert_with(|| Error::from(status).to_string());
                break;
            }
        };
        // An idle stream's last ACK comes again.
        if ack.sequence > last {
            report.add_ack(&ack);
            last = ack.sequence;
        }
        let is_throttled = ack.status() == AckStatus::Ack && ack.throttle_ms > 0;
        if is_throttled {
            let pause = Duration::from_millis(ack.throttle_ms.unsigned_abs().into());
            cancel.run_until_cancelled(sleep(pause)).await;
        }
    }
    report
}

async fn notify(
    client: &mut Client,
    worker: &Worker,
    status: StatusType,
    report: &mut Report,
) -> Result<(), Error> {
    let reason = if status == StatusType::Failed { "exit code 101" } else { "" };
    let notification = WorkerStatusNotification {
        worker_id: worker.id.to_string(),
        task_id: worker.task.to_string(),
        status: status.into(),
        timestamp: now_in_whole_seconds(),
        reason: reason.into(),
        ..Default::default()
    };
    let ack = client.notify_worker_status(notification).await?.into_inner();
    report.status_warnings += u64::from(ack.status() != StatusAckStatus::Received);
    Ok(())
}

fn entry(worker: &Worker, metadata: &WorkerMetadata, line: Line) -> WorkerLogEntry {
    WorkerLogEntry {
        worker_id: worker.id.to_string(),
        task_id: worker.task.to_string(),
        timestamp: now_in_whole_seconds(),
        level: line.level.into(),
        source: line.source.into(),
        message: line.message,
        pod_metadata: Some(metadata.clone()),
        ..Default::default()
    }
}

fn pod_metadata(worker: &Worker) -> WorkerMetadata {
    WorkerMetadata {
        pod_name: worker.id.to_string(),
        namespace: "default".into(),
        created_at: now_in_whole_seconds(),
        ..Default::default()
    }
}

fn now_in_whole_seconds() -> String {
    format!("{:.0}", jiff::Timestamp::now())
}
