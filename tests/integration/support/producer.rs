//! A producer on the generated client.

use std::ops::Range;

use otto_handler::proto::ottoscaler::log_forward_response::Status;
use otto_handler::proto::ottoscaler::otto_handler_log_service_client::OttoHandlerLogServiceClient;
use otto_handler::proto::ottoscaler::{LogForwardResponse, WorkerLogEntry};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};

use super::within;

pub(crate) type Client = OttoHandlerLogServiceClient<Channel>;

/// A client with a connection of its own.
pub(crate) async fn connect(url: &str) -> Client {
    let endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
    let channel = within("a connection", endpoint.connect()).await.unwrap();
    // Large, so that what holds a producer back is the server's window, not ours.
    OttoHandlerLogServiceClient::new(channel).max_encoding_message_size(64 << 20)
}

/// A line of worker `w` of `task`.
pub(crate) fn entry(task: &str, message: &str) -> WorkerLogEntry {
    WorkerLogEntry {
        worker_id: "w".into(),
        task_id: task.into(),
        timestamp: "2026-11-24T06:57:29Z".into(),
        level: "INFO".into(),
        source: "stdout".into(),
        message: message.into(),
        ..Default::default()
    }
}

/// `line 1` to `line {count}`.
pub(crate) fn numbered(task: &str, count: usize) -> Vec<WorkerLogEntry> {
    (1..=count).map(|turn| entry(task, &format!("line {turn}"))).collect()
}

/// Lines of 100 KB of task `t` that cannot be compressed, each with its number first.
pub(crate) fn large_lines(numbers: Range<usize>) -> Vec<WorkerLogEntry> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut noise = || (0..100_000).map(|_| random.alphanumeric()).collect::<String>();
    numbers.map(|number| entry("t", &format!("{number} {}", noise()))).collect()
}

/// One stream of ForwardWorkerLogs.
pub(crate) struct Producer {
    entries: Option<mpsc::Sender<WorkerLogEntry>>,
    pub(crate) responses: Streaming<LogForwardResponse>,
}

impl Producer {
    pub(crate) async fn open(client: &mut Client) -> Self {
        Self::open_with(client, |_| {}).await
    }

    /// Opens it with metadata added by `change`.
    pub(crate) async fn open_with(
        client: &mut Client,
        change: impl FnOnce(&mut Request<ReceiverStream<WorkerLogEntry>>),
    ) -> Self {
        let (entries, outbound) = mpsc::channel(1);
        let mut request = Request::new(ReceiverStream::new(outbound));
        change(&mut request);
        let opened = within("the stream's opening", client.forward_worker_logs(request)).await;
        Self { entries: Some(entries), responses: opened.unwrap().into_inner() }
    }

    pub(crate) async fn send(&self, entry: WorkerLogEntry) {
        let entries = self.entries.as_ref().expect("not half-closed");
        within("space to send", entries.send(entry)).await.unwrap();
    }

    /// What sends from another task; the stream is half-closed when it is dropped too.
    pub(crate) fn sender(&self) -> mpsc::Sender<WorkerLogEntry> {
        self.entries.clone().expect("not half-closed")
    }

    pub(crate) fn half_close(&mut self) {
        self.entries = None;
    }

    /// The next response; panics at the stream's end.
    pub(crate) async fn response(&mut self) -> LogForwardResponse {
        let response = within("a response", self.responses.message()).await;
        response.unwrap().expect("the stream goes on")
    }

    /// Sends all and checks that each is acknowledged, in order from `first`.
    pub(crate) async fn push_all(&mut self, first: i64, entries: Vec<WorkerLogEntry>) {
        for (sequence, entry) in (first..).zip(entries) {
            self.send(entry).await;
            assert_eq!(self.response().await, ack(sequence));
        }
    }

    /// Half-closes and waits for the server's end.
    pub(crate) async fn finish(mut self) {
        self.half_close();
        assert_eq!(within("the stream's end", self.responses.message()).await.unwrap(), None);
    }
}

pub(crate) fn ack(sequence: i64) -> LogForwardResponse {
    let status = Status::Ack.into();
    LogForwardResponse { status, sequence, ..Default::default() }
}
