//! Runs the streams: connects, reads answers, begins anew, gives up.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};

use super::shared::PushShared;
use super::window::{Dropped, Unsent};
use super::{Error, Notice, Observer, PushOptions, Report};
use crate::client::backoff::Backoff;
use crate::domain::WorkerState;
use crate::proto::ottoscaler::log_forward_response::Status as Answer;
use crate::proto::ottoscaler::otto_handler_log_service_client::OttoHandlerLogServiceClient;
use crate::proto::ottoscaler::worker_status_ack::Status as StatusAnswer;
use crate::proto::ottoscaler::worker_status_notification::StatusType;
use crate::proto::ottoscaler::{LogForwardResponse, WorkerStatusAck, WorkerStatusNotification};

pub(super) type Authorization = MetadataValue<Ascii>;
type Client = OttoHandlerLogServiceClient<Channel>;

/// Lines up to here are never taken for the reason why the server refuses a stream as too large.
const SURELY_TAKEN_BYTES: usize = 1 << 20;

/// How long to wait for a stream's orderly end once everything is answered.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why one attempt ended.
enum Broken {
    /// Another may do better, after this wait at least.
    Passing { reason: String, wait: Duration },
    /// No other will.
    Final(Error),
}

impl Broken {
    fn passing(reason: impl Into<String>) -> Self {
        Self::Passing { reason: reason.into(), wait: Duration::ZERO }
    }
}

impl From<Unsent> for Broken {
    fn from(unsent: Unsent) -> Self {
        Self::Final(Error::Protocol(unsent.to_string()))
    }
}

impl From<Status> for Broken {
    fn from(status: Status) -> Self {
        let reason = format!("{}: {}", status.code().description(), status.message());
        let is_final = matches!(
            status.code(),
            Code::Unauthenticated
                | Code::PermissionDenied
                | Code::Unimplemented
                | Code::InvalidArgument
                | Code::FailedPrecondition
                | Code::NotFound
                | Code::OutOfRange
        );
        if is_final { Self::Final(Error::TryAppendError(reason)) } else { Self::passing(reason) }
    }
}

impl From<tonic::transport::Error> for Broken {
    fn from(error: tonic::transport::Error) -> Self {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        Self::passing(format!("{error}: {}", source.unwrap_or_default()))
    }
}

/// Carries a pusher's lines to the server.
pub struct Driver {
    shared: Arc<PushShared>,
    options: PushOptions,
    endpoint: Endpoint,
    authorization: Option<Authorization>,
    observer: Observer,
    client: Option<Client>,
    backoff: Backoff,
    /// Since when nothing was answered, while something is wrong.
    trouble_since: Option<Instant>,
    report: Report,
}

impl Driver {
    pub(super) fn new(
        shared: Arc<PushShared>,
        options: PushOptions,
        endpoint: Endpoint,
        authorization: Option<Authorization>,
        observer: Observer,
    ) -> Self {
        let backoff = Backoff::new(options.retry, options.retry_most);
        Self {
            shared,
            options,
            endpoint,
            authorization,
            observer,
            client: None,
            backoff,
            trouble_since: None,
            report: Report::default(),
        }
    }

    /// Pushes until the pusher is finished and everything is answered.
    ///
    /// # Errors
    /// When patience ran out or the server refused for good. The pusher takes nothing then.
    pub async fn run(mut self) -> Result<Report, Error> {
        let outcome = self.run_to_end().await;
        self.shared.stop();
        self.report.progress = self.shared.window().progress();
        outcome.map(|()| self.report)
    }

    async fn run_to_end(&mut self) -> Result<(), Error> {
        if let Some(status) = self.options.first_status {
            self.tell(status).await?;
        }
        let last_status = self.deliver().await?;
        if let Some(status) = last_status {
            self.tell(status).await?;
        }
        Ok(())
    }

    /// Streams until all is answered; returns the status to end with.
    async fn deliver(&mut self) -> Result<Option<WorkerState>, Error> {
        loop {
            let ended = self.stream().await;
            let settled = self.shared.window().settled();
            if let Some(last_status) = settled {
                return Ok(last_status);
            }
            let unfinished = || Broken::passing("the server ended the stream");
            self.recover(ended.err().unwrap_or_else(unfinished)).await?;
            self.report.reconnects += 1;
        }
    }

    /// Tells a worker's status until the server has taken or refused it.
    async fn tell(&mut self, status: WorkerState) -> Result<(), Error> {
        let notification = self.notification(status);
        loop {
            match self.notify(notification.clone()).await {
                Ok(answer) => {
                    self.on_progress();
                    self.on_status_answer(answer);
                    return Ok(());
                }
                Err(broken) => self.recover(broken).await?,
            }
        }
    }

    async fn notify(
        &mut self,
        notification: WorkerStatusNotification,
    ) -> Result<WorkerStatusAck, Broken> {
        let request = self.request(notification);
        let patience = self.options.give_up_after;
        let answer = timeout(patience, self.client().await?.notify_worker_status(request)).await;
        let answer = answer.map_err(|_| Broken::passing("no answer to a status"))?;
        Ok(answer?.into_inner())
    }

    /// One stream, as far as it goes; it may end in good order with lines left unanswered.
    async fn stream(&mut self) -> Result<(), Broken> {
        let mut client = self.client().await?;
        let mut request = self.request(self.shared.entries());
        request.metadata_mut().insert("otto-ack-mode", MetadataValue::from_static("cumulative"));
        let patience = self.options.give_up_after;
        let opened = timeout(patience, client.forward_worker_logs(request)).await;
        let opened = opened.map_err(|_| Broken::passing("no answer to a stream"))?;
        let mut answers = opened.map_err(|status| self.on_status(status))?.into_inner();
        while let Some(answer) = self.next_answer(&mut answers).await? {
            self.on_answer(answer)?;
        }
        Ok(())
    }

    /// The next answer; `None` when the stream ended or nothing is left to answer.
    async fn next_answer(
        &mut self,
        answers: &mut Streaming<LogForwardResponse>,
    ) -> Result<Option<LogForwardResponse>, Broken> {
        loop {
            let is_settled = self.shared.window().settled().is_some();
            let patience = if is_settled { FAREWELL } else { self.options.give_up_after };
            match timeout(patience, answers.message()).await {
                Ok(answer) => return answer.map_err(|status| self.on_status(status)),
                Err(_) if is_settled => return Ok(None),
                Err(_) if self.shared.window().unanswered() == 0 => {}
                Err(_) => return Err(self.gave_up(patience, "the server answers nothing")),
            }
        }
    }

    fn on_answer(&mut self, answer: LogForwardResponse) -> Result<(), Broken> {
        let pause = Duration::from_millis(u64::try_from(answer.throttle_ms).unwrap_or(0));
        match answer.status() {
            Answer::Ack => {
                self.on_progress();
                self.shared.settle(|window| window.acknowledge(answer.sequence))?;
            }
            Answer::Drop => {
                self.on_progress();
                let dropped = self.shared.settle(|window| window.drop_line(answer.sequence))?;
                self.on_dropped(dropped, answer.message);
            }
            Answer::Retry => {
                let reason = format!("the server asks to send again: {}", answer.message);
                return Err(Broken::Passing { reason, wait: pause });
            }
        }
        if !pause.is_zero() {
            self.shared.window().throttle(pause);
        }
        Ok(())
    }

    /// A stream's failing status. A message above the server's decode limit ends the whole
    /// stream and would end the next one too, so the line in question counts as dropped.
    fn on_status(&mut self, status: Status) -> Broken {
        if matches!(status.code(), Code::ResourceExhausted | Code::OutOfRange) {
            let largest =
                self.shared.settle(|window| window.drop_largest_above(SURELY_TAKEN_BYTES));
            if largest.is_some() {
                self.on_progress();
                self.on_dropped(largest, status.message().to_owned());
                return Broken::passing(status.message());
            }
        }
        status.into()
    }

    fn on_dropped(&self, dropped: Option<u64>, message: String) {
        if let Some(line) = dropped {
            (self.observer)(Notice::Dropped(Dropped { line, message }));
        }
    }

    fn on_status_answer(&mut self, answer: WorkerStatusAck) {
        if answer.status() == StatusAnswer::Error {
            self.report.refused_statuses += 1;
            (self.observer)(Notice::StatusRefused { message: answer.message });
        }
    }

    fn on_progress(&mut self) {
        self.trouble_since = None;
        self.backoff.reset();
    }

    /// Waits for the next attempt, unless there should be none.
    async fn recover(&mut self, broken: Broken) -> Result<(), Error> {
        let (reason, wait) = match broken {
            Broken::Passing { reason, wait } => (reason, wait),
            Broken::Final(error) => return Err(error),
        };
        self.client = None;
        let since = *self.trouble_since.get_or_insert_with(Instant::now);
        let left = self.options.give_up_after.saturating_sub(since.elapsed());
        if left.is_zero() {
            return Err(Error::GaveUp { waited_s: since.elapsed().as_secs(), reason });
        }
        let retry_in = self.backoff.next_delay().max(wait).min(left);
        (self.observer)(Notice::Disconnected { reason, retry_in });
        sleep(retry_in).await;
        Ok(())
    }

    fn gave_up(&self, waited: Duration, reason: &str) -> Broken {
        Broken::Final(Error::GaveUp { waited_s: waited.as_secs(), reason: reason.into() })
    }

    async fn client(&mut self) -> Result<Client, Broken> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let client = Client::new(self.endpoint.connect().await?);
        self.client = Some(client.clone());
        Ok(client)
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        request
    }

    fn notification(&self, status: WorkerState) -> WorkerStatusNotification {
        let window = self.shared.window();
        WorkerStatusNotification {
            worker_id: window.producer().worker.to_string(),
            task_id: window.producer().task.to_string(),
            status: status_type(status).into(),
            timestamp: format!("{:.3}", jiff::Timestamp::now()),
            ..Default::default()
        }
    }
}

fn status_type(status: WorkerState) -> StatusType {
    match status {
        WorkerState::Created => StatusType::Created,
        WorkerState::Running => StatusType::Running,
        WorkerState::Completed => StatusType::Completed,
        WorkerState::Failed => StatusType::Failed,
        WorkerState::Terminated => StatusType::Terminated,
    }
}
