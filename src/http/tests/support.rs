//! A running server, and an event stream's reader.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::{Stream, StreamExt};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;

use crate::client::https;
use crate::connections::{Accepted, ConnectionLimit, Shutdown};
use crate::domain::{Batch, Kind, Records, Run, TaskId, WorkerId, WorkerState};
use crate::encode::{EntryEncoder, EntryIds, StatusParts, WireLayout, write_gap, write_status};
use crate::http::{AppState, Auth, Claims, HttpOptions, Verifier, serve, sign};
use crate::hub::Hub;
use crate::ingest::{Intake, Limits, Registry};
use crate::proto::ottoscaler::WorkerLogEntry;
use crate::stats::ServerStats;
use crate::store::{self, Log, Store};
use crate::subscribe::{Source, Ticks};
use crate::tasks::{LifeCycle, Tasks};
use prost::Message as _;

pub(super) const SECRET: &[u8] = b"a secret of the tests, long enough for HS256";
pub(super) const TIME: &str = "2026-11-24T06:57:29.000Z";
const PATIENCE: Duration = Duration::from_secs(20);

/// Fails where `event` does not come, instead of hanging.
pub(super) async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, event).await.expect("it did not happen in time")
}

pub(super) struct Server {
    pub(super) base: String,
    pub(super) state: AppState,
    pub(super) drain: CancellationToken,
    pub(super) serving: JoinHandle<()>,
    pub(super) tasks: Tasks,
    store: Store,
    dir: TempDir,
    client: reqwest::Client,
}

pub(super) fn jwt() -> HttpOptions {
    HttpOptions { auth: Auth::Jwt(Verifier::hs256(SECRET)), ..HttpOptions::default() }
}

/// A token that may delete and end the tasks that `tasks` names.
pub(super) fn deleter(tasks: &[&str]) -> String {
    let exp = crate::domain::now_ms() / 1000 + 60;
    let tasks = Some(tasks.iter().map(|glob| (*glob).to_owned()).collect());
    sign(SECRET, &Claims { sub: "me".into(), exp, tasks, delete: true, push: true }).unwrap()
}

pub(super) fn token(sub: &str, expires_in: i64, tasks: Option<&[&str]>) -> String {
    let now = i64::try_from(crate::domain::now_ms() / 1000).unwrap();
    let exp = u64::try_from(now + expires_in).unwrap();
    let tasks = tasks.map(|globs| globs.iter().map(|glob| (*glob).to_owned()).collect());
    sign(SECRET, &Claims { sub: sub.into(), exp, tasks, delete: false, push: false }).unwrap()
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::start_with(HttpOptions::default()).await
    }

    pub(super) async fn start_with(options: HttpOptions) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), options, |options| options).await
    }

    pub(super) async fn start_in(
        dir: TempDir,
        options: HttpOptions,
        adjust: impl FnOnce(store::StoreOptions) -> store::StoreOptions,
    ) -> Self {
        let store_options = store::StoreOptions {
            durability: store::Durability::Os,
            ..store::StoreOptions::new(dir.path())
        };
        let recovered = store::recover(adjust(store_options)).unwrap();
        let hub = Hub::starting_at(recovered.tail(), 1 << 20);
        let (published, forgotten) = (hub.clone(), hub.clone());
        let recovered = recovered.on_delete(Box::new(move |tasks| forgotten.forget(tasks)));
        let publish = Box::new(move |blocks: &[_], tail| published.publish(blocks, tail));
        let store = recovered.start(publish).unwrap();
        let log: Arc<dyn Log> = Arc::new(store.clone());
        let life_cycle = LifeCycle::without_grace(Duration::from_secs(300));
        let tasks = Tasks::new(log.clone(), hub.clone(), life_cycle);
        let ticks = Ticks::every(Duration::from_millis(1));
        let source = Source { log, hub, tasks: tasks.clone(), ticks };
        let drain = CancellationToken::new();
        let intake = Intake::new(source.log.clone(), tasks.clone(), limits(), drain.clone());
        let pull = crate::pull::Handle::off();
        let connections = ConnectionLimit::new(100);
        let stats = ServerStats::new(
            intake.clone(),
            Registry::new(10),
            pull,
            source.log.clone(),
            connections,
        );
        let state = AppState::new(options, source, intake, stats, drain.clone()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let serving =
            tokio::spawn(serve(accepted(listener), state.clone(), draining_with(drain.clone())));
        let client = https::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { base, state, drain, serving, tasks, store, dir, client }
    }

    /// Drains, closes the store and gives the directory back.
    pub(super) async fn stop(self) -> TempDir {
        self.drain.cancel();
        soon(self.serving).await.unwrap();
        self.store.close().await;
        self.dir
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// A GET below the API's prefix.
    pub(super) fn api(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, &format!("/api/v1/log-streaming{path}"))
    }

    pub(super) async fn get(&self, path: &str) -> Response {
        soon(self.api(path).send()).await.unwrap()
    }

    pub(super) async fn json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        json(response).await
    }

    pub(super) async fn events(&self, path: &str) -> Events {
        Events::of(self.api(path)).await
    }

    pub(super) async fn push(&self, task: &str, worker: &str, messages: &[&str]) {
        let entry = |message: &&str| WorkerLogEntry {
            message: (*message).to_owned(),
            ..WorkerLogEntry::default()
        };
        self.push_entries(task, worker, messages.iter().map(entry).collect()).await;
    }

    pub(super) async fn push_at(&self, task: &str, level: &str, message: &str) {
        let (level, message) = (level.to_owned(), message.to_owned());
        let entry = WorkerLogEntry { level, message, ..WorkerLogEntry::default() };
        self.push_entries(task, "w", vec![entry]).await;
    }

    pub(super) async fn push_entries(
        &self,
        task: &str,
        worker: &str,
        entries: Vec<WorkerLogEntry>,
    ) {
        let mut encoder = EntryEncoder::new(WireLayout::WorkerLogEntry);
        let mut records = Records::default();
        for entry in entries {
            let (task_id, worker_id) = (task.to_owned(), worker.to_owned());
            let wire = WorkerLogEntry { task_id, worker_id, ..entry }.encode_to_vec();
            let mut body = Vec::new();
            encoder.encode(&wire, TIME, &mut body).unwrap();
            records.push(Kind::Log, &body);
        }
        self.append(task, worker, records).await;
    }

    pub(super) async fn push_status(&self, task: &str, worker: &str, state: WorkerState) {
        let status = StatusParts {
            task_id: task,
            worker_id: worker,
            state,
            timestamp: "",
            reason: "",
            metadata: Vec::new(),
        };
        let mut records = Records::default();
        records.push_with(Kind::Status(state), |out| write_status(out, &status, TIME));
        self.append(task, worker, records).await;
    }

    pub(super) async fn push_gap(&self, task: &str, lines: u64) {
        let mut records = Records::default();
        let ids = EntryIds { task_id: task, worker_id: "w" };
        records.push_with(Kind::Gap, |out| write_gap(out, ids, Some(lines), "too_large", TIME));
        self.append(task, "w", records).await;
    }

    /// Appends and waits for the receipt, which may be a failure.
    pub(super) async fn append(&self, task: &str, worker: &str, records: Records) {
        let task = TaskId::new(task).unwrap();
        let worker = WorkerId::new(worker).unwrap();
        let run = Run { task, worker, session: None, records };
        let receipt = self.store.append(Batch::of(vec![run])).await.unwrap();
        let _result = soon(receipt).await;
    }

    pub(super) async fn until_viewers(&self, count: usize) {
        let reached = async {
            while self.state.active_viewers() != count {
                tokio::task::yield_now().await;
            }
        };
        soon(reached).await;
    }
}

pub(super) async fn json(response: Response) -> Value {
    serde_json::from_slice(&soon(response.bytes()).await.unwrap()).unwrap()
}

/// The detail of a refusal, which must be a problem with `status`.
pub(super) async fn refusal(response: Response, status: u16) -> String {
    assert_eq!(response.status(), status, "{}", response.url());
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem = json(response).await;
    assert_eq!(problem["status"], status);
    assert!(problem["title"].is_string() && problem["type"].is_string(), "{problem}");
    problem["detail"].as_str().unwrap().to_owned()
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) id: Option<String>,
    pub(super) data: Option<String>,
    pub(super) retry: Option<u64>,
}

impl Event {
    fn parse(frame: &str) -> Self {
        let mut event = Self::default();
        for line in frame.lines() {
            match line.split_once(": ").unwrap() {
                ("event", name) => event.name = name.into(),
                ("id", id) => event.id = Some(id.into()),
                ("data", data) => assert!(event.data.replace(data.into()).is_none()),
                ("retry", ms) => event.retry = Some(ms.parse().unwrap()),
                other => panic!("{other:?} is not a field of an event"),
            }
        }
        event
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(self.data.as_deref().unwrap()).unwrap()
    }
}

/// An open event stream.
pub(super) struct Events {
    response: Response,
    buffer: BytesMut,
    pub(super) retry_ms: u64,
}

impl Events {
    pub(super) async fn of(request: RequestBuilder) -> Self {
        let response = soon(request.send()).await.unwrap();
        assert_eq!(response.status(), 200, "{}", response.url());
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-cache, no-transform");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        let mut events = Self { response, buffer: BytesMut::new(), retry_ms: 0 };
        let first = events.next().await.unwrap();
        events.retry_ms = first.retry.expect("the first frame is the retry");
        events
    }

    /// The next frame; `None` at the end of the stream.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let frame = self.buffer.split_to(end + 2);
                return Some(Event::parse(std::str::from_utf8(&frame[..end]).unwrap()));
            }
            let Some(chunk) = soon(self.response.chunk()).await.unwrap() else {
                assert!(self.buffer.is_empty(), "a frame was cut off");
                return None;
            };
            self.buffer.extend_from_slice(&chunk);
        }
    }

    /// The next frame that is an event of this name; frames without an event are passed over.
    pub(super) async fn expect(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().await.expect("the stream ended");
            if !event.name.is_empty() {
                assert_eq!(event.name, name, "{event:?}");
                return event;
            }
        }
    }

    /// The messages of the next `count` lines.
    pub(super) async fn lines(&mut self, count: usize) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.len() < count {
            let log = self.expect("log").await;
            lines.push(log.json()["message"].as_str().unwrap().to_owned());
        }
        lines
    }

    /// Everything up to the end.
    pub(super) async fn rest(&mut self) -> Vec<Event> {
        let mut rest = Vec::new();
        while let Some(event) = self.next().await {
            rest.push(event);
        }
        rest
    }
}

fn limits() -> Limits {
    let stall_timeout = Duration::from_secs(30);
    Limits {
        entry_bytes: 1 << 20,
        line_bytes: 1 << 22,
        streams: 1,
        stall_timeout,
        idle_ack: Limits::IDLE_ACK,
        budget_bytes: 1 << 24,
    }
}

/// The connections of `listener`.
pub(in crate::http) fn accepted(listener: TcpListener) -> impl Stream<Item = Accepted> {
    let limit = ConnectionLimit::new(100).port();
    TcpListenerStream::new(listener).map(move |stream| Accepted {
        stream: stream.unwrap(),
        permit: limit.try_acquire().unwrap(),
    })
}

/// A shutdown that never goes beyond the drain.
pub(super) fn draining_with(drain: CancellationToken) -> Shutdown {
    Shutdown { drain, ..Shutdown::default() }
}
