//! Runs the streams: connects, reads responses, reconnects, gives up.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};

use super::error::Error;
use super::options::{PushOptions, TimedStatus};
use super::report::{Notice, Observer, Report};
use super::shared_window::SharedWindow;
use super::window::{Dropped, UnsentSequence};
use crate::causes::root_cause;
use crate::client::backoff::Backoff;
use crate::domain::WorkerState;
use crate::proto::ottoscaler::log_forward_response::Status as AckStatus;
use crate::proto::ottoscaler::otto_handler_log_service_client::OttoHandlerLogServiceClient;
use crate::proto::ottoscaler::worker_status_ack::Status as StatusAckStatus;
use crate::proto::ottoscaler::worker_status_notification::StatusType;
use crate::proto::ottoscaler::{LogForwardResponse, WorkerStatusAck, WorkerStatusNotification};

pub(super) type Authorization = MetadataValue<Ascii>;
type Client = OttoHandlerLogServiceClient<Channel>;

/// Response metadata of servers that take unfinished lines.
const UNFINISHED_KEY: &str = "otto-partial";

/// When the server refuses a stream because of its size, a line up to this size is not the cause.
const ALWAYS_ACCEPTED_BYTES: usize = 1 << 20;

/// How long to wait for the server's end of a stream once everything is acknowledged.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// Why one attempt ended.
enum StreamError {
    /// Another attempt may succeed, after this wait at least.
    Transient { reason: String, wait: Duration },
    /// No other attempt can succeed.
    Permanent(Error),
}

impl StreamError {
    fn transient(reason: impl Into<String>) -> Self {
        Self::Transient { reason: reason.into(), wait: Duration::ZERO }
    }
}

impl From<UnsentSequence> for StreamError {
    fn from(unsent: UnsentSequence) -> Self {
        Self::Permanent(Error::Protocol(unsent.to_string()))
    }
}

impl From<Status> for StreamError {
    fn from(status: Status) -> Self {
        let reason = format!("{}: {}", status.code().description(), status.message());
        let is_permanent = matches!(
            status.code(),
            Code::PermissionDenied
                | Code::Unimplemented
                | Code::InvalidArgument
                | Code::FailedPrecondition
                | Code::NotFound
                | Code::OutOfRange
        );
        match status.code() {
            Code::Unauthenticated => Self::Permanent(Error::Unauthenticated(reason)),
            _ if is_permanent => Self::Permanent(Error::Refused(reason)),
            _ => Self::transient(reason),
        }
    }
}

/// Sends a pusher's lines to the server.
pub struct Driver {
    window: Arc<SharedWindow>,
    options: PushOptions,
    endpoint: Endpoint,
    authorization: Option<Authorization>,
    observer: Observer,
    client: Option<Client>,
    backoff: Backoff,
    /// Since when every attempt has failed; `None` while pushing works.
    failing_since: Option<Instant>,
    report: Report,
}

impl Driver {
    pub(super) fn new(
        window: Arc<SharedWindow>,
        options: PushOptions,
        endpoint: Endpoint,
        authorization: Option<Authorization>,
        observer: Observer,
    ) -> Self {
        let backoff = Backoff::new(options.min_backoff, options.max_backoff);
        Self {
            window,
            options,
            endpoint,
            authorization,
            observer,
            client: None,
            backoff,
            failing_since: None,
            report: Report::default(),
        }
    }

    /// Pushes until the pusher is finished and everything is acknowledged.
    ///
    /// # Errors
    /// When it gave up or the server refused for good. The pusher takes no more lines then.
    pub async fn run(mut self) -> Result<Report, Error> {
        let result = self.run_to_end().await;
        self.window.stop();
        self.report.progress = self.window.lock().progress();
        result.map(|()| self.report)
    }

    async fn run_to_end(&mut self) -> Result<(), Error> {
        let first = self.window.lock().first_status();
        if let Some(status) = first {
            self.send_status(&status).await?;
            self.window.lock().first_status_was_told();
        }
        if let Some(end) = self.deliver().await? {
            self.send_status(&end).await?;
            self.window.lock().end_was_told();
        }
        Ok(())
    }

    /// Streams until every line is acknowledged; returns what to notify last.
    async fn deliver(&mut self) -> Result<Option<TimedStatus>, Error> {
        loop {
            let began = Instant::now();
            let ended = self.stream().await;
            let end = self.window.lock().end();
            if let Some(end) = end {
                return Ok(end);
            }
            let unfinished = || StreamError::transient("the server ended the stream");
            // A proxy that cuts what is idle is nobody's trouble as long as the next stream opens.
            let was_idle = self.failing_since.is_none() && self.window.lock().unacked_lines() == 0;
            if was_idle && began.elapsed() >= self.options.max_backoff {
                self.backoff.reset();
            }
            self.recover(ended.err().unwrap_or_else(unfinished), was_idle).await?;
            self.report.reconnects += 1;
        }
    }

    /// Sends a worker's status until the server has accepted or refused it.
    async fn send_status(&mut self, status: &TimedStatus) -> Result<(), Error> {
        let notification = self.notification(status);
        loop {
            match self.notify(notification.clone()).await {
                Ok(response) => {
                    self.on_progress();
                    self.on_status_ack(response);
                    return Ok(());
                }
                Err(error) => self.recover(error, false).await?,
            }
        }
    }

    async fn notify(
        &mut self,
        notification: WorkerStatusNotification,
    ) -> Result<WorkerStatusAck, StreamError> {
        let request = self.request(notification);
        let limit = self.options.give_up_after;
        let response = timeout(limit, self.client().await?.notify_worker_status(request)).await;
        let response = response.map_err(|_| StreamError::transient("no answer to a status"))?;
        Ok(response?.into_inner())
    }

    /// One stream, until it ends; the server may end it while lines still wait for an ACK.
    async fn stream(&mut self) -> Result<(), StreamError> {
        let mut client = self.client().await?;
        let stream = self.window.begin_stream();
        let mut request = self.request(self.window.entries(stream));
        request.metadata_mut().insert("otto-ack-mode", MetadataValue::from_static("cumulative"));
        let limit = self.options.give_up_after;
        let opened = timeout(limit, client.forward_worker_logs(request)).await;
        let opened = opened.map_err(|_| StreamError::transient("no answer to a stream"))?;
        let opened = opened.map_err(|status| self.on_status(status))?;
        if opened.metadata().contains_key(UNFINISHED_KEY) {
            self.window.allow_unfinished(stream);
        }
        if self.window.lock().unacked_lines() == 0 {
            // No ACK is to come that could show it.
            self.failing_since = None;
        }
        let mut responses = opened.into_inner();
        while let Some(response) = self.next_response(&mut responses).await? {
            self.on_response(response)?;
        }
        Ok(())
    }

    /// The next response; `None` when the stream ended or nothing more is to come.
    async fn next_response(
        &mut self,
        responses: &mut Streaming<LogForwardResponse>,
    ) -> Result<Option<LogForwardResponse>, StreamError> {
        loop {
            let is_over = self.window.lock().end().is_some();
            let limit = if is_over { END_TIMEOUT } else { self.options.give_up_after };
            match timeout(limit, responses.message()).await {
                Ok(response) => return response.map_err(|status| self.on_status(status)),
                Err(_) if is_over => return Ok(None),
                Err(_) if self.window.lock().unacked_lines() == 0 => {}
                Err(_) => return Err(self.give_up(limit, "the server does not answer")),
            }
        }
    }

    fn on_response(&mut self, response: LogForwardResponse) -> Result<(), StreamError> {
        let pause = Duration::from_millis(u64::try_from(response.throttle_ms).unwrap_or(0));
        match response.status() {
            AckStatus::Ack => {
                self.on_progress();
                self.window.apply(|window| window.acknowledge(response.sequence))?;
            }
            AckStatus::Drop => {
                self.on_progress();
                let dropped = self.window.apply(|window| window.drop_line(response.sequence))?;
                self.on_dropped(dropped, response.message);
            }
            AckStatus::Retry => {
                let reason = format!("the server asks to send again: {}", response.message);
                return Err(StreamError::Transient { reason, wait: pause });
            }
        }
        if !pause.is_zero() {
            self.window.lock().throttle(pause);
        }
        Ok(())
    }

    /// A status that ended a stream. A message above the server's decode limit ends the whole
    /// stream and would end the next one too, so the largest line counts as dropped.
    fn on_status(&mut self, status: Status) -> StreamError {
        if matches!(status.code(), Code::ResourceExhausted | Code::OutOfRange) {
            let largest =
                self.window.apply(|window| window.drop_largest_above(ALWAYS_ACCEPTED_BYTES));
            if largest.is_some() {
                self.on_progress();
                self.on_dropped(largest, status.message().to_owned());
                return StreamError::transient(status.message());
            }
        }
        status.into()
    }

    fn on_dropped(&self, dropped: Option<u64>, message: String) {
        if let Some(line) = dropped {
            (self.observer)(Notice::Dropped(Dropped { line, message }));
        }
    }

    fn on_status_ack(&mut self, response: WorkerStatusAck) {
        if response.status() == StatusAckStatus::Error {
            self.report.refused_statuses += 1;
            (self.observer)(Notice::StatusRefused { message: response.message });
        }
    }

    fn on_progress(&mut self) {
        self.failing_since = None;
        self.backoff.reset();
    }

    /// Waits before the next attempt; `silently` without a notice.
    ///
    /// # Errors
    /// When there is no next attempt: the error is permanent, or the time to give up has come.
    async fn recover(&mut self, error: StreamError, silently: bool) -> Result<(), Error> {
        let (reason, wait) = match error {
            StreamError::Transient { reason, wait } => (reason, wait),
            StreamError::Permanent(error) => return Err(error),
        };
        self.client = None;
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        let left = self.options.give_up_after.saturating_sub(since.elapsed());
        if left.is_zero() {
            return Err(Error::GaveUp { waited_s: since.elapsed().as_secs(), reason });
        }
        let retry_in = self.backoff.next_delay().max(wait).min(left);
        if !silently {
            (self.observer)(Notice::Disconnected { reason, retry_in });
        }
        sleep(retry_in).await;
        Ok(())
    }

    fn give_up(&self, waited: Duration, reason: &str) -> StreamError {
        StreamError::Permanent(Error::GaveUp { waited_s: waited.as_secs(), reason: reason.into() })
    }

    async fn client(&mut self) -> Result<Client, StreamError> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let connected = self.endpoint.connect().await.map_err(|error| {
            let to = self.options.to.to_string();
            let to = to.trim_end_matches('/');
            StreamError::transient(format!("cannot connect to {to}: {}", root_cause(&error)))
        });
        let client = Client::new(connected?);
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

    fn notification(&self, timed: &TimedStatus) -> WorkerStatusNotification {
        let TimedStatus { status, time } = timed;
        let window = self.window.lock();
        WorkerStatusNotification {
            worker_id: window.producer().worker.to_string(),
            task_id: window.producer().task.to_string(),
            status: status_type(status.state).into(),
            timestamp: time.to_string(),
            reason: status.reason.clone(),
            metadata: status.metadata(self.options.ends_task),
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
