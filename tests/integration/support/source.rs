//! Sources to pull from: one that does what the protocol asks, and ones that do not.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::BufMut;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use otto_handler::proto::otto::handler::v1::pulled_log_entry::What;
use otto_handler::proto::otto::handler::v1::{CaughtUp, PullWorkerLogsRequest, PulledLogEntry};
use otto_handler::proto::ottoscaler::WorkerLogEntry;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic::server::{Grpc, NamedService, ServerStreamingService};
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tonic_prost::ProstDecoder;

use super::within;

/// Encoded responses.
pub(crate) type Responses = BoxStream<'static, Result<Vec<u8>, Status>>;

type Script = Arc<dyn Fn(&PullWorkerLogsRequest) -> Responses + Send + Sync>;

/// A source that responds to each request by its script.
pub(crate) struct Source {
    pub(crate) url: String,
    requests: watch::Receiver<Vec<PullWorkerLogsRequest>>,
    server: JoinHandle<()>,
}

impl Source {
    pub(crate) async fn start(
        script: impl Fn(&PullWorkerLogsRequest) -> Responses + Send + Sync + 'static,
    ) -> Self {
        Self::start_on(Server::builder(), "http", script).await
    }

    /// On a server that is built otherwise, such as one with TLS.
    pub(crate) async fn start_on(
        mut server: Server,
        scheme: &str,
        script: impl Fn(&PullWorkerLogsRequest) -> Responses + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{scheme}://localhost:{}", listener.local_addr().unwrap().port());
        let (record, requests) = watch::channel(Vec::new());
        let service = RawSource { script: Arc::new(script), record: Arc::new(record) };
        let serving =
            server.add_service(service).serve_with_incoming(TcpListenerStream::new(listener));
        let server = tokio::spawn(async move { serving.await.unwrap() });
        Self { url, requests, server }
    }

    /// How many requests there were.
    pub(crate) fn requests(&self) -> usize {
        self.requests.borrow().len()
    }

    /// Waits for a request that `wanted` says is it.
    pub(crate) async fn request(
        &self,
        wanted: impl Fn(&PullWorkerLogsRequest) -> bool,
    ) -> PullWorkerLogsRequest {
        let mut requests = self.requests.clone();
        let found = requests.wait_for(|requests| requests.iter().any(&wanted));
        let found = within("a request to the source", found).await.unwrap();
        found.iter().find(|request| wanted(request)).unwrap().clone()
    }

    /// Waits until there were `count` requests.
    pub(crate) async fn until_requests(&self, count: usize) {
        let mut requests = self.requests.clone();
        let enough = requests.wait_for(|requests| requests.len() >= count);
        within("requests to the source", enough).await.unwrap();
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A list of entries as the protocol describes it. Clones share it.
#[derive(Clone)]
pub(crate) struct List {
    epoch: &'static str,
    entries: Arc<watch::Sender<Vec<What>>>,
}

impl List {
    pub(crate) fn new(epoch: &'static str) -> Self {
        Self { epoch, entries: Arc::new(watch::Sender::new(Vec::new())) }
    }

    pub(crate) fn add(&self, entries: impl IntoIterator<Item = WorkerLogEntry>) {
        self.entries.send_modify(|list| list.extend(entries.into_iter().map(What::Entry)));
    }

    /// A source that serves the list.
    pub(crate) async fn serve(&self) -> Source {
        let list = self.clone();
        Source::start(move |request| list.responses(request)).await
    }

    /// The responses to a request, without an end.
    pub(crate) fn responses(&self, request: &PullWorkerLogsRequest) -> Responses {
        if request.done {
            return stream::empty().boxed();
        }
        let kept = if request.epoch == self.epoch { request.cursor as usize } else { 0 };
        let call = PullCall { next: kept, caught_up: false, list: self.entries.subscribe() };
        let epoch = self.epoch;
        stream::unfold(call, move |call| call.next_response(epoch)).boxed()
    }
}

struct PullCall {
    next: usize,
    caught_up: bool,
    list: watch::Receiver<Vec<What>>,
}

impl PullCall {
    async fn next_response(mut self, epoch: &str) -> Option<(Result<Vec<u8>, Status>, Self)> {
        loop {
            let what = self.list.borrow_and_update().get(self.next).cloned();
            if let Some(what) = what {
                self.next += 1;
                self.caught_up = false;
                return Some((Ok(response(epoch, self.next as u64, what)), self));
            }
            if !self.caught_up {
                self.caught_up = true;
                return Some((Ok(caught_up(epoch)), self));
            }
            self.list.changed().await.ok()?;
        }
    }
}

/// An encoded response.
pub(crate) fn response(epoch: &str, cursor: u64, what: What) -> Vec<u8> {
    PulledLogEntry { cursor, epoch: epoch.into(), what: Some(what) }.encode_to_vec()
}

/// An encoded `CaughtUp`.
pub(crate) fn caught_up(epoch: &str) -> Vec<u8> {
    response(epoch, 0, What::CaughtUp(CaughtUp {}))
}

/// These responses, and no end.
pub(crate) fn endless(responses: Vec<Vec<u8>>) -> Responses {
    stream::iter(responses.into_iter().map(Ok)).chain(stream::pending()).boxed()
}

/// These responses, and the end.
pub(crate) fn ending(responses: Vec<Vec<u8>>) -> Responses {
    stream::iter(responses.into_iter().map(Ok)).boxed()
}

/// `WorkerLogSource` whose responses are any bytes.
#[derive(Clone)]
struct RawSource {
    script: Script,
    record: Arc<watch::Sender<Vec<PullWorkerLogsRequest>>>,
}

impl NamedService for RawSource {
    const NAME: &'static str = "otto.handler.v1.WorkerLogSource";
}

impl tower::Service<http::Request<Body>> for RawSource {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(Grpc::new(RawCodec).server_streaming(service, request).await) })
    }
}

impl ServerStreamingService<PullWorkerLogsRequest> for RawSource {
    type Response = Vec<u8>;
    type ResponseStream = Responses;
    type Future = BoxFuture<'static, Result<Response<Responses>, Status>>;

    fn call(&mut self, request: Request<PullWorkerLogsRequest>) -> Self::Future {
        let request = request.into_inner();
        let responses = (self.script)(&request);
        self.record.send_modify(|requests| requests.push(request));
        Box::pin(async move { Ok(Response::new(responses)) })
    }
}

struct RawCodec;

struct RawEncoder;

impl Codec for RawCodec {
    type Encode = Vec<u8>;
    type Decode = PullWorkerLogsRequest;
    type Encoder = RawEncoder;
    type Decoder = ProstDecoder<PullWorkerLogsRequest>;

    fn encoder(&mut self) -> RawEncoder {
        RawEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(BufferSettings::default())
    }
}

impl Encoder for RawEncoder {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(&item);
        Ok(())
    }
}

/// `GetWorkerStatus` alone, whose pod goes through `phases`, one a call.
pub(crate) struct Pods {
    phases: Mutex<Vec<&'static str>>,
}

impl Pods {
    /// Serves them; returns the URL.
    pub(crate) async fn serve(phases: &[&'static str]) -> String {
        use otto_handler::proto::ottoscaler::ottoscaler_service_server as generated;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut phases = phases.to_vec();
        phases.reverse();
        let service = generated::OttoscalerServiceServer::new(Self { phases: Mutex::new(phases) });
        let incoming = TcpListenerStream::new(listener);
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        url
    }
}

#[tonic::async_trait]
impl otto_handler::proto::ottoscaler::ottoscaler_service_server::OttoscalerService for Pods {
    async fn get_worker_status(
        &self,
        _: Request<otto_handler::proto::ottoscaler::WorkerStatusRequest>,
    ) -> Result<Response<otto_handler::proto::ottoscaler::WorkerStatusResponse>, Status> {
        use otto_handler::proto::ottoscaler::{WorkerPodStatus, WorkerStatusResponse};
        let mut phases = self.phases.lock().unwrap();
        // The last phase stays.
        let phase = if phases.len() > 1 { phases.pop() } else { phases.last().copied() };
        let pod = WorkerPodStatus {
            pod_name: "w".into(),
            task_id: "t".into(),
            status: phase.unwrap().into(),
            ..Default::default()
        };
        Ok(Response::new(WorkerStatusResponse { workers: vec![pod], ..Default::default() }))
    }
}
