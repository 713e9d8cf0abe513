//! Against a server that plays one scripted act per stream, and keeps what a real one would.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Mutex;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

use super::*;
use crate::domain::{TaskId, WorkerId, WorkerState};
use crate::proto::ottoscaler::log_forward_response::Status as AckStatus;
use crate::proto::ottoscaler::otto_handler_log_service_server::{
    OttoHandlerLogService, OttoHandlerLogServiceServer,
};
use crate::proto::ottoscaler::worker_status_ack::Status as StatusAckStatus;
use crate::proto::ottoscaler::worker_status_notification::StatusType;
use crate::proto::ottoscaler::{
    LogForwardResponse, WorkerLogEntry, WorkerStatusAck, WorkerStatusNotification,
};

/// What the server does with one stream.
enum Act {
    /// Keeps everything, acknowledges every second entry and the last.
    Keep,
    /// Keeps so many entries, acknowledges only the first of them, then breaks off.
    BreakAfter(u64, Status),
    /// Keeps the entries before this one and answers this one with RETRY.
    RetryAt(u64),
    /// Answers each of these with DROP, keeps the others.
    DropAt(&'static [u64]),
    /// Answers an entry that was never sent.
    Nonsense,
    /// Cuts the stream before anything was sent on it.
    CutIdle,
}

#[derive(Default)]
struct ScriptedServer {
    script: VecDeque<Act>,
    last_seq: HashMap<String, u64>,
    messages: Vec<String>,
    repeated: usize,
    ack_modes: Vec<Option<String>>,
    authorizations: Vec<Option<String>>,
    statuses: Vec<StatusType>,
    unavailable_statuses: usize,
}

impl ScriptedServer {
    fn keep(&mut self, entry: WorkerLogEntry) {
        let session = entry.metadata["otto.session"].clone();
        let seq = entry.metadata["otto.seq"].parse().unwrap();
        let last_seq = self.last_seq.entry(session).or_default();
        if seq > *last_seq {
            *last_seq = seq;
            self.messages.push(entry.message);
        } else {
            self.repeated += 1;
        }
    }
}

#[derive(Clone, Default)]
struct Server(Arc<Mutex<ScriptedServer>>);

fn response(status: AckStatus, sequence: u64) -> LogForwardResponse {
    LogForwardResponse {
        status: status.into(),
        sequence: i64::try_from(sequence).unwrap(),
        message: "message is 3 bytes, the limit is 2".into(),
        throttle_ms: i32::from(status == AckStatus::Retry),
    }
}

type Responses = mpsc::Sender<Result<LogForwardResponse, Status>>;

impl Server {
    async fn play(self, act: Act, mut entries: Streaming<WorkerLogEntry>, responses: Responses) {
        if matches!(act, Act::CutIdle) {
            responses.send(Err(Status::internal("cut by a proxy"))).await.ok();
            return;
        }
        let mut ordinal = 0;
        while let Some(received) = entries.next().await {
            let entry = match received {
                Ok(entry) => entry,
                Err(status) => {
                    responses.send(Err(status)).await.ok();
                    return;
                }
            };
            ordinal += 1;
            let reply = match &act {
                Act::Nonsense => Ok(response(AckStatus::Ack, 1000)),
                Act::RetryAt(at) if ordinal == *at => Ok(response(AckStatus::Retry, ordinal)),
                Act::DropAt(at) if at.contains(&ordinal) => Ok(response(AckStatus::Drop, ordinal)),
                Act::BreakAfter(at, status) if ordinal == *at => {
                    self.0.lock().unwrap().keep(entry);
                    Err(status.clone())
                }
                _ => {
                    self.0.lock().unwrap().keep(entry);
                    let is_silent = match act {
                        Act::BreakAfter(..) => ordinal > 1,
                        _ => ordinal % 2 == 1,
                    };
                    if is_silent {
                        continue;
                    }
                    Ok(response(AckStatus::Ack, ordinal))
                }
            };
            let is_over = reply.is_err();
            if responses.send(reply).await.is_err() || is_over {
                return;
            }
        }
        if ordinal > 0 {
            responses.send(Ok(response(AckStatus::Ack, ordinal))).await.ok();
        }
    }
}

#[tonic::async_trait]
impl OttoHandlerLogService for Server {
    type ForwardWorkerLogsStream = BoxStream<'static, Result<LogForwardResponse, Status>>;

    async fn forward_worker_logs(
        &self,
        request: Request<Streaming<WorkerLogEntry>>,
    ) -> Result<Response<Self::ForwardWorkerLogsStream>, Status> {
        let header = |name| {
            let value = request.metadata().get(name)?;
            value.to_str().ok().map(ToOwned::to_owned)
        };
        let act = {
            let mut kept = self.0.lock().unwrap();
            kept.ack_modes.push(header("otto-ack-mode"));
            kept.authorizations.push(header("authorization"));
            kept.script.pop_front().unwrap_or(Act::Keep)
        };
        let (responses, receiver) = mpsc::channel(16);
        tokio::spawn(self.clone().play(act, request.into_inner(), responses));
        Ok(Response::new(ReceiverStream::new(receiver).boxed()))
    }

    async fn notify_worker_status(
        &self,
        request: Request<WorkerStatusNotification>,
    ) -> Result<Response<WorkerStatusAck>, Status> {
        let mut kept = self.0.lock().unwrap();
        if kept.unavailable_statuses > 0 {
            kept.unavailable_statuses -= 1;
            return Err(Status::unavailable("starting"));
        }
        kept.statuses.push(request.into_inner().status());
        let status = StatusAckStatus::Received.into();
        Ok(Response::new(WorkerStatusAck { status, message: String::new() }))
    }
}

/// A served script.
async fn serve(script: Vec<Act>) -> (Server, SocketAddr) {
    let server = Server::default();
    server.0.lock().unwrap().script = script.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = OttoHandlerLogServiceServer::new(server.clone());
    let incoming = TcpListenerStream::new(listener);
    tokio::spawn(
        tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming),
    );
    (server, address)
}

fn options(address: SocketAddr) -> PushOptions {
    let mut options = PushOptions::new(format!("http://{address}").parse().unwrap());
    options.min_backoff = Duration::from_millis(1);
    options
}

fn producer() -> Producer {
    Producer {
        task: TaskId::new("t").unwrap(),
        worker: WorkerId::new("w").unwrap(),
        level: "INFO".into(),
        source: "stdout".into(),
    }
}

fn numbered(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("line {number}")).collect()
}

/// Pushes `messages` to the end; the result and the notices.
async fn push_all(
    options: PushOptions,
    messages: Vec<String>,
) -> (Result<Report, Error>, Vec<Notice>) {
    let notices = Arc::new(Mutex::new(Vec::new()));
    let seen = notices.clone();
    let observer = Box::new(move |notice| seen.lock().unwrap().push(notice));
    let (pusher, driver) =
        pusher(options, producer(), Some(WorkerState::Running), observer).unwrap();
    let feed = async move {
        let timestamp: Arc<str> = "2026-01-01T00:00:00.000Z".into();
        for message in messages {
            let line = Line { timestamp: timestamp.clone(), source: None, message };
            if pusher.push(line).await.is_err() {
                return;
            }
        }
        pusher.finish(Some(WorkerState::Completed.into()));
    };
    let (result, ()) = tokio::join!(driver.run(), feed);
    let notices = notices.lock().unwrap().clone();
    (result, notices)
}

#[tokio::test]
async fn lines_arrive_in_order_between_the_first_and_the_last_status() {
    let (server, address) = serve(vec![Act::Keep]).await;
    let mut options = options(address);
    options.token = Some("secret".into());
    let (result, notices) = push_all(options, numbered(1001)).await;
    let report = result.unwrap();
    assert!(report.is_clean());
    assert_eq!(report.progress, Progress { pushed: 1001, acknowledged: 1001, dropped: 0 });
    assert_eq!(notices, []);
    let kept = server.0.lock().unwrap();
    assert_eq!(kept.messages, numbered(1001));
    assert_eq!(kept.statuses, [StatusType::Running, StatusType::Completed]);
    assert_eq!(kept.ack_modes, [Some("cumulative".to_owned())]);
    assert_eq!(kept.authorizations, [Some("Bearer secret".to_owned())]);
}

#[tokio::test]
async fn broken_streams_lose_and_double_nothing() {
    let (server, address) = serve(vec![
        Act::BreakAfter(7, Status::unavailable("restarting")),
        Act::BreakAfter(1, Status::internal("oh")),
        Act::RetryAt(5),
        Act::BreakAfter(100, Status::cancelled("bye")),
    ])
    .await;
    let (result, notices) = push_all(options(address), numbered(500)).await;
    let report = result.unwrap();
    assert!(report.is_clean());
    assert_eq!(report.reconnects, 4);
    assert_eq!(notices.len(), 4);
    let kept = server.0.lock().unwrap();
    assert_eq!(kept.messages, numbered(500));
    assert!(kept.repeated > 0, "entries kept but unacknowledged are sent again");
}

#[tokio::test]
async fn a_proxy_that_cuts_a_silent_stream_again_and_again_is_nobodys_trouble() {
    const CUTS: usize = 6;
    let script = std::iter::repeat_with(|| Act::CutIdle).take(CUTS).collect();
    let (server, address) = serve(script).await;
    let notices = Arc::new(Mutex::new(Vec::new()));
    let seen = notices.clone();
    let observer = Box::new(move |notice| seen.lock().unwrap().push(notice));
    let (pusher, driver) = pusher(options(address), producer(), None, observer).unwrap();
    let feed = async {
        while server.0.lock().unwrap().ack_modes.len() <= CUTS {
            tokio::task::yield_now().await;
        }
        let message = "at last".to_owned();
        let line = Line { timestamp: "2026-01-01T00:00:00Z".into(), source: None, message };
        pusher.push(line).await.unwrap();
        pusher.finish(None);
    };
    let (result, ()) = tokio::join!(driver.run(), feed);
    assert_eq!(result.unwrap().progress, Progress { pushed: 1, acknowledged: 1, dropped: 0 });
    assert_eq!(*notices.lock().unwrap(), []);
    assert_eq!(server.0.lock().unwrap().messages, ["at last"]);
}

#[tokio::test]
async fn a_window_of_two_lines_still_delivers_everything() {
    let (server, address) = serve(vec![Act::BreakAfter(2, Status::unavailable("x"))]).await;
    let mut options = options(address);
    // Space for two: the scripted server acknowledges every second entry.
    options.window_bytes = 200;
    let (result, _) = push_all(options, numbered(40)).await;
    assert!(result.unwrap().is_clean());
    assert_eq!(server.0.lock().unwrap().messages, numbered(40));
}

#[tokio::test]
async fn dropped_lines_are_reported_and_not_sent_again() {
    let (server, address) = serve(vec![Act::DropAt(&[2, 3]), Act::Keep]).await;
    let (result, notices) = push_all(options(address), numbered(6)).await;
    let report = result.unwrap();
    assert!(!report.is_clean());
    assert_eq!(report.progress, Progress { pushed: 6, acknowledged: 4, dropped: 2 });
    let message = "message is 3 bytes, the limit is 2".to_owned();
    let dropped = |line| Notice::Dropped(Dropped { line, message: message.clone() });
    assert_eq!(notices, [dropped(2), dropped(3)]);
    assert_eq!(server.0.lock().unwrap().messages, ["line 1", "line 4", "line 5", "line 6"]);
}

#[tokio::test]
async fn a_line_above_the_servers_decode_limit_is_dropped_and_the_others_arrive() {
    let (server, address) = serve(vec![]).await;
    let mut messages = numbered(3);
    messages.insert(1, "x".repeat(5 << 20));
    let (result, notices) = push_all(options(address), messages).await;
    assert_eq!(result.unwrap().progress, Progress { pushed: 4, acknowledged: 3, dropped: 1 });
    assert!(matches!(&notices[0], Notice::Dropped(dropped) if dropped.line == 2), "{notices:?}");
    assert_eq!(server.0.lock().unwrap().messages, numbered(3));
}

#[tokio::test]
async fn a_final_refusal_ends_at_once() {
    let (_server, address) =
        serve(vec![Act::BreakAfter(1, Status::unauthenticated("no token"))]).await;
    let (result, _) = push_all(options(address), numbered(3)).await;
    assert!(matches!(result, Err(Error::Unauthenticated(reason)) if reason.ends_with("no token")));
}

#[tokio::test]
async fn an_answer_to_an_unsent_entry_ends_at_once() {
    let (_server, address) = serve(vec![Act::Nonsense]).await;
    let (result, _) = push_all(options(address), numbered(3)).await;
    assert!(matches!(result, Err(Error::Protocol(_))), "{result:?}");
}

#[tokio::test]
async fn it_gives_up_and_a_full_window_does_not_hold_the_pusher_forever() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut options = options(address);
    options.window_bytes = 100;
    options.give_up_after = Duration::from_millis(30);
    let (result, notices) = push_all(options, numbered(1000)).await;
    assert!(matches!(result, Err(Error::GaveUp { .. })), "{result:?}");
    assert!(!notices.is_empty());
}

#[tokio::test]
async fn a_status_is_sent_again_until_it_is_accepted() {
    let (server, address) = serve(vec![]).await;
    server.0.lock().unwrap().unavailable_statuses = 3;
    let (result, notices) = push_all(options(address), Vec::new()).await;
    assert!(result.unwrap().is_clean());
    assert_eq!(notices.len(), 3);
    let statuses = server.0.lock().unwrap().statuses.clone();
    assert_eq!(statuses, [StatusType::Running, StatusType::Completed]);
}

/// Passes bytes on to `server`; cuts the first connection after `cut_after_bytes`.
async fn cutting_proxy(server: SocketAddr, cut_after_bytes: u64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut limit = cut_after_bytes;
        while let Ok((mut client, _)) = listener.accept().await {
            let mut upstream = TcpStream::connect(server).await.unwrap();
            let this_limit = std::mem::replace(&mut limit, u64::MAX);
            tokio::spawn(async move {
                use tokio::io::{AsyncReadExt, copy};
                let (from_client, mut to_client) = client.split();
                let (mut from_server, mut to_server) = upstream.split();
                let mut limited = from_client.take(this_limit);
                tokio::select! {
                    _ = copy(&mut limited, &mut to_server) => {}
                    _ = copy(&mut from_server, &mut to_client) => {}
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_cut_connection_loses_and_doubles_nothing() {
    let (server, address) = serve(vec![]).await;
    let proxy = cutting_proxy(address, 50_000).await;
    let (result, notices) = push_all(options(proxy), numbered(3000)).await;
    assert!(result.unwrap().is_clean());
    assert!(!notices.is_empty(), "the cut was seen");
    assert_eq!(server.0.lock().unwrap().messages, numbered(3000));
}

#[tokio::test]
async fn an_address_that_is_not_http_or_https_is_refused() {
    for bad in ["localhost:8080", "ftp://localhost:8080", "/x"] {
        let options = PushOptions::new(bad.parse().unwrap());
        let refused = pusher(options, producer(), None, Box::new(|_| {}));
        assert!(matches!(refused, Err(Error::Unusable(_))), "{bad}");
    }
}
