//! Producers that pack their messages with gzip, and requests that are not gRPC.

use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body::Frame;
use otto_handler::proto::ottoscaler::log_forward_response::Status;
use otto_handler::proto::ottoscaler::worker_status_ack::Status as StatusAck;
use otto_handler::proto::ottoscaler::worker_status_notification::StatusType;
use otto_handler::proto::ottoscaler::{
    LogEntry, LogForwardResponse, LogResponse, RegistrationResponse, WorkerRegistration,
    WorkerStatusAck, WorkerStatusNotification,
};
use prost::Message;
use tonic::Code;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::ServiceExt;

use crate::support::{Process, TestServer, entry, json, numbered, text, within};

const FORWARD: &str = "/ottoscaler.v1.OttoHandlerLogService/ForwardWorkerLogs";
const NOTIFY: &str = "/ottoscaler.v1.OttoHandlerLogService/NotifyWorkerStatus";
const REGISTER: &str = "/ottoscaler.v1.LogStreamingService/RegisterWorker";
const STREAM: &str = "/ottoscaler.v1.LogStreamingService/StreamLogs";

/// How a call was answered.
#[derive(Debug)]
struct Answer {
    http: u16,
    headers: http::HeaderMap,
    code: Option<Code>,
    reason: String,
    body: Bytes,
}

impl Answer {
    fn messages<M: Message + Default>(&self) -> Vec<M> {
        let mut body = self.body.clone();
        let mut messages = Vec::new();
        while !body.is_empty() {
            assert_eq!(body.get_u8(), 0, "responses are not packed");
            let length = body.get_u32() as usize;
            messages.push(M::decode(body.split_to(length)).unwrap());
        }
        messages
    }
}

fn pack(message: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(message).unwrap();
    encoder.finish().unwrap()
}

fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    [&[flag], &(message.len() as u32).to_be_bytes()[..], message].concat()
}

fn packed(messages: &[impl Message]) -> Vec<u8> {
    messages.iter().flat_map(|message| framed(1, &pack(&message.encode_to_vec()))).collect()
}

async fn channel(grpc: String) -> Channel {
    let endpoint = Endpoint::from_shared(grpc).unwrap();
    within("a connection", endpoint.connect()).await.unwrap()
}

/// Sends `body` to `path` with these headers, and reads the whole answer.
async fn call(channel: &Channel, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let mut request =
        http::Request::post(format!("http://localhost{path}")).header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::new(OneFrame(Some(body.into())))).unwrap();
    let response = within("a response", channel.clone().oneshot(request)).await.unwrap();
    let (head, mut body) = response.into_parts();
    let (mut bytes, mut trailers) = (BytesMut::new(), head.headers.clone());
    loop {
        let next = std::future::poll_fn(|context| {
            http_body::Body::poll_frame(Pin::new(&mut body), context)
        });
        let Some(frame) = within("a frame", next).await else { break };
        match frame.unwrap().into_data() {
            Ok(data) => bytes.extend_from_slice(&data),
            Err(frame) => trailers.extend(frame.into_trailers().unwrap()),
        }
    }
    let status = tonic::Status::from_header_map(&trailers);
    Answer {
        http: head.status.as_u16(),
        headers: head.headers,
        code: status.as_ref().map(tonic::Status::code),
        reason: status.map(|status| status.message().to_owned()).unwrap_or_default(),
        body: bytes.freeze(),
    }
}

/// A request's body, which goes out as fast as the server takes it.
struct OneFrame(Option<Bytes>);

impl http_body::Body for OneFrame {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");
const GZIP: (&str, &str) = ("grpc-encoding", "gzip");

#[tokio::test]
async fn every_call_takes_messages_that_are_packed_with_gzip() {
    let server = TestServer::start().await;
    let channel = channel(server.grpc()).await;
    let call = async |path, body| {
        let answer = call(&channel, path, &[GRPC, GZIP], body).await;
        assert_eq!(answer.code, Some(Code::Ok), "{path}: {}", answer.reason);
        answer
    };
    let long = entry("t", &"long ".repeat(60_000));
    let entries = [&numbered("t", 3)[..], std::slice::from_ref(&long)].concat();
    let plain = framed(0, &entry("t", "not packed").encode_to_vec());
    let pushed = call(FORWARD, [packed(&entries), plain].concat()).await;
    assert!(pushed.headers["grpc-accept-encoding"].to_str().unwrap().contains("gzip"));
    let acks: Vec<LogForwardResponse> = pushed.messages();
    assert_eq!(acks.iter().map(|ack| ack.sequence).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(acks.iter().all(|ack| ack.status() == Status::Ack));
    let log = text(|path| server.api(path), "t").await;
    assert_eq!(log, format!("line 1\nline 2\nline 3\n{}\nnot packed\n", long.message));

    let (task_id, worker_id) = ("u".to_owned(), "w".to_owned());
    let registration = WorkerRegistration {
        task_id: task_id.clone(),
        worker_id: worker_id.clone(),
        ..Default::default()
    };
    let registered: Vec<RegistrationResponse> =
        call(REGISTER, packed(&[registration])).await.messages();
    assert!(!registered[0].session_id.is_empty());
    let line = LogEntry {
        task_id: task_id.clone(),
        worker_id: worker_id.clone(),
        message: "of a worker".into(),
        ..Default::default()
    };
    let streamed: Vec<LogResponse> = call(STREAM, packed(&[line])).await.messages();
    assert_eq!(streamed.len(), 1);
    assert_eq!(text(|path| server.api(path), "u").await, "of a worker\n");
    let status = WorkerStatusNotification {
        task_id,
        worker_id,
        status: StatusType::Completed.into(),
        ..Default::default()
    };
    let told: Vec<WorkerStatusAck> = call(NOTIFY, packed(&[status])).await.messages();
    assert_eq!(told[0].status(), StatusAck::Received);
}

#[tokio::test]
async fn another_way_of_packing_and_damaged_messages_are_refused_with_the_reason() {
    let server = TestServer::start().await;
    let channel = channel(server.grpc()).await;
    for path in [FORWARD, NOTIFY] {
        let zstd = call(&channel, path, &[GRPC, ("grpc-encoding", "zstd")], Vec::new()).await;
        assert_eq!(zstd.code, Some(Code::Unimplemented), "{zstd:?}");
        assert_eq!(zstd.reason, "grpc-encoding is \"zstd\", it needs identity or gzip");
        assert_eq!(zstd.headers["grpc-accept-encoding"], "identity,gzip");
        let text =
            call(&channel, path, &[GRPC, GZIP], framed(1, b"this is not packed at all")).await;
        assert_eq!(text.code, Some(Code::Internal), "{text:?}");
        assert!(text.reason.starts_with("a message cannot be unpacked with gzip"), "{text:?}");
        let unnamed = call(&channel, path, &[GRPC], framed(1, &pack(b""))).await;
        assert_eq!(unnamed.code, Some(Code::Internal), "{unnamed:?}");
    }
}

#[tokio::test]
async fn what_is_not_grpc_is_answered_415_on_the_grpc_port() {
    let server = TestServer::start().await;
    let channel = channel(server.grpc()).await;
    for path in [FORWARD, NOTIFY, "/grpc.health.v1.Health/Check", "/nothing"] {
        for content in ["text/plain", "application/json", "application/grpc-web+proto"] {
            let answer = call(&channel, path, &[("content-type", content)], Vec::new()).await;
            assert_eq!(answer.http, 415, "{path} {content}");
            let told = String::from_utf8(answer.body.to_vec()).unwrap();
            assert_eq!(
                told,
                format!("content-type is {content:?}, this port takes application/grpc\n")
            );
        }
        assert_eq!(call(&channel, path, &[], Vec::new()).await.http, 415, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_unpack_to_a_thousand_times_their_size_stay_within_the_budget() {
    const BOMBS: usize = 24;
    const MIB: usize = 1 << 20;
    let dir = tempfile::tempdir().unwrap();
    let flags = [
        "--ingest-bytes=24MiB",
        "--queue-bytes=8MiB",
        "--hub-bytes=8MiB",
        "--reader-bytes=8MiB",
        "--store-stall-timeout=10m",
    ];
    let server = Process::start(&dir.path().join("data"), &flags, None).await;
    // One that says so is refused unread, and one that lies ends its call.
    let beyond = packed(&[entry("beyond", &"x".repeat(64 * MIB))]);
    let mut lying = pack(&entry("lies", &"x".repeat(6 * MIB)).encode_to_vec());
    let trailer = lying.len() - 4;
    lying[trailer..].copy_from_slice(&100_u32.to_le_bytes());
    let bomb = packed(&[entry("bombs", &"x".repeat(6 * MIB))]);
    assert!(bomb.len() < 8 * 1024, "{} bytes", bomb.len());
    let mut pushes = tokio::task::JoinSet::new();
    for _ in 0..BOMBS {
        let (channel, bomb) = (channel(server.grpc_url()).await, bomb.clone());
        pushes.spawn(async move { call(&channel, FORWARD, &[GRPC, GZIP], bomb).await });
    }
    let others = channel(server.grpc_url()).await;
    let refused = call(&others, FORWARD, &[GRPC, GZIP], beyond).await;
    let acks: Vec<LogForwardResponse> = refused.messages();
    assert_eq!(acks[0].status(), Status::Drop);
    assert!(acks[0].message.contains("the limit is"), "{}", acks[0].message);
    let ended = call(&others, FORWARD, &[GRPC, GZIP], framed(1, &lying)).await;
    assert_eq!(
        (ended.code, ended.reason.contains("more in it")),
        (Some(Code::Internal), true),
        "{ended:?}"
    );
    // Ordinary lines need no memory that the bombs wait for.
    let honest = packed(&numbered("honest", 100));
    let honest = tokio::time::timeout(
        Duration::from_secs(60),
        call(&others, FORWARD, &[GRPC, GZIP], honest),
    );
    assert_eq!(honest.await.unwrap().messages::<LogForwardResponse>().len(), 100);
    while let Some(push) = within("the bombs' end", pushes.join_next()).await {
        let acks: Vec<LogForwardResponse> = push.unwrap().messages();
        assert_eq!((acks.len(), acks[0].status()), (1, Status::Ack));
    }
    let task = json(&server.api("/tasks/bombs")).await;
    assert_eq!((&task["lines"], &task["lostLines"]), (&BOMBS.into(), &0.into()));
    let peak_mib = server.peak_kib() / 1024;
    println!("{BOMBS} bombs of 6 MiB each: {peak_mib} MiB resident at most");
    // Budgets, a commit of a full queue, and the debug build itself; the bombs are 144 MiB in all.
    assert!(peak_mib <= 24 + 8 + 40 + 40, "{peak_mib} MiB");
    server.kill().await;
}
