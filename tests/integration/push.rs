//! Acks that producers get, and what they mean.

use std::time::Duration;

use otto_handler::proto::ottoscaler::log_forward_response::Status;
use otto_handler::proto::ottoscaler::worker_status_ack::Status as AckStatus;
use otto_handler::proto::ottoscaler::worker_status_notification::StatusType;
use otto_handler::proto::ottoscaler::{
    LogForwardResponse, WorkerLogEntry, WorkerStatusNotification,
};
use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic::{Code, Request};

use crate::support::{
    Producer, Reader, TestServer, ack, connect, entry, json, messages, ndjson, numbered, text,
    within,
};

#[tokio::test]
async fn every_entry_is_acknowledged_in_order_and_readable_at_once() {
    let server = TestServer::start().await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    producer.push_all(1, numbered("t", 50)).await;
    let lines: Vec<_> = (1..=50).map(|turn| format!("line {turn}\n")).collect();
    assert_eq!(text(|path| server.api(path), "t").await, lines.concat());
    producer.finish().await;
}

#[tokio::test]
async fn the_last_ack_of_an_idle_stream_comes_again_and_later_entries_get_theirs() {
    let idle_ack = Duration::from_millis(40);
    let server = TestServer::start_changed(&[], |config| config.limits.idle_ack = idle_ack).await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    let again = |sequence| LogForwardResponse { message: "still here".into(), ..ack(sequence) };
    producer.push_all(1, vec![entry("t", "one")]).await;
    assert_eq!(producer.response().await, again(1));
    assert_eq!(producer.response().await, again(1));
    producer.send(entry("t", "two")).await;
    let mut response = producer.response().await;
    while response == again(1) {
        response = producer.response().await;
    }
    assert_eq!(response, ack(2));
    assert_eq!(producer.response().await, again(2));
    producer.half_close();
    while let Some(response) = within("the end", producer.responses.message()).await.unwrap() {
        assert_eq!(response, again(2));
    }
    assert_eq!(text(|path| server.api(path), "t").await, "one\ntwo\n");
}

#[tokio::test]
async fn an_entry_keeps_all_its_fields_and_missing_ones_get_their_defaults() {
    let server = TestServer::start().await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    let bare = WorkerLogEntry { worker_id: "w".into(), task_id: "t".into(), ..Default::default() };
    let odd = WorkerLogEntry { timestamp: "yesterday".into(), ..entry("t", "x") };
    producer.push_all(1, vec![bare, odd]).await;
    let lines = ndjson(|path| server.api(path), "t").await;
    assert_eq!(lines[0]["level"], "INFO");
    assert_eq!(lines[0]["source"], "stdout");
    assert_eq!(lines[0]["message"], "");
    assert_eq!(lines[0]["timestamp"], lines[0]["receivedAt"]);
    assert_eq!((&lines[0]["line"], &lines[1]["line"]), (&1.into(), &2.into()));
    assert_eq!(lines[1]["timestamp"], "yesterday");
    assert!(lines[1]["receivedAt"].is_string());
}

/// An entry that is too large, and not because of its message.
fn large_metadata(task: &str) -> WorkerLogEntry {
    let metadata = [("key".to_owned(), "x".repeat(5000))].into();
    WorkerLogEntry { metadata, ..entry(task, "a") }
}

#[tokio::test]
async fn an_invalid_entry_is_dropped_with_the_reason_and_the_stream_goes_on() {
    let server = TestServer::start_with(&["--max-entry-bytes=4KiB"]).await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    let invalid = [
        (WorkerLogEntry { task_id: String::new(), ..entry("t", "a") }, "task_id is empty"),
        (entry(&"t".repeat(254), "a"), "task_id is 254 bytes, the limit is 253"),
        (WorkerLogEntry { worker_id: "a\u{1}".into(), ..entry("t", "a") }, "U+0001 at byte 1"),
        (large_metadata("t"), "the limit is 2048"),
    ];
    let mut sequence = 0;
    for (invalid, reason) in invalid {
        producer.send(invalid).await;
        sequence += 1;
        let response = producer.response().await;
        assert_eq!((response.status(), response.sequence), (Status::Drop, sequence));
        assert!(response.message.contains(reason), "{:?} lacks {reason:?}", response.message);
        sequence += 1;
        producer.push_all(sequence, vec![entry("t", "good")]).await;
    }
    // Of those that name the task, the log tells that they are missing.
    let gap = |reason| format!("--- 1 line is missing here: {reason} ---\n");
    let no_worker = gap("worker_id holds the control character U+0001 at byte 1");
    let too_large = gap("entry is 5053 bytes without its message, the limit is 2048");
    let expected = ["good\n", "good\n", &no_worker, "good\n", &too_large, "good\n"].concat();
    assert_eq!(text(|path| server.api(path), "t").await, expected);
}

#[tokio::test]
async fn a_dropped_entry_stands_as_a_gap_where_it_would_have_stood() {
    let server = TestServer::start_with(&["--max-entry-bytes=1KiB"]).await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    producer.push_all(1, vec![entry("t", "before")]).await;
    producer.send(large_metadata("t")).await;
    assert_eq!(producer.response().await.status(), Status::Drop);
    producer.push_all(3, vec![entry("t", "after")]).await;
    let mut reader = Reader::open(&server.api("/stream/t")).await;
    let events = [reader.event().await, reader.event().await, reader.event().await];
    let kinds = events.each_ref().map(|event| event.event.as_str());
    assert_eq!(kinds, ["log", "gap", "log"]);
    let gap: serde_json::Value = serde_json::from_str(&events[1].data).unwrap();
    assert_eq!(gap["lines"], 1);
    assert!(gap["reason"].as_str().unwrap().contains("the limit is 512"), "{gap}");
    assert_eq!(gap["from"], gap["to"]);
}

#[tokio::test]
async fn a_cumulative_ack_answers_every_entry_before_it() {
    let server = TestServer::start().await;
    let mut producer = Producer::open_with(&mut connect(&server.grpc()).await, |request| {
        request.metadata_mut().insert("otto-ack-mode", "cumulative".parse().unwrap());
    })
    .await;
    for entry in numbered("t", 100) {
        producer.send(entry).await;
    }
    producer.half_close();
    let mut acknowledged = 0;
    while let Some(response) = within("an ack", producer.responses.message()).await.unwrap() {
        assert_eq!(response.status(), Status::Ack);
        assert!(response.sequence > acknowledged);
        acknowledged = response.sequence;
    }
    assert_eq!(acknowledged, 100);
}

#[tokio::test]
async fn an_unknown_ack_mode_is_refused_by_name() {
    let server = TestServer::start().await;
    let mut request = Request::new(tokio_stream::iter(numbered("t", 1)));
    request.metadata_mut().insert("otto-ack-mode", "sometimes".parse().unwrap());
    let refused = connect(&server.grpc()).await.forward_worker_logs(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let expected = "otto-ack-mode is \"sometimes\", it needs each or cumulative";
    assert_eq!(refused.message(), expected);
}

/// The entry `seq` of a producer's session.
fn resendable(session: &str, seq: usize) -> WorkerLogEntry {
    let mut entry = entry("t", &format!("line {seq}"));
    entry.metadata.insert("otto.session".into(), session.into());
    entry.metadata.insert("otto.seq".into(), seq.to_string());
    entry
}

#[tokio::test]
async fn strangers_sessions_do_not_make_an_honest_resend_appear_twice() {
    const STRANGERS: usize = 60;
    let server = TestServer::start().await;
    let mut honest = Producer::open(&mut connect(&server.grpc()).await).await;
    honest.push_all(1, (1..=5).map(|seq| resendable("honest", seq)).collect()).await;
    let mut others = Producer::open(&mut connect(&server.grpc()).await).await;
    let foreign = (1..=STRANGERS).map(|turn| resendable(&format!("stranger {turn}"), 1));
    others.push_all(1, foreign.collect()).await;
    honest.push_all(6, (1..=5).map(|seq| resendable("honest", seq)).collect()).await;
    let task = json(&server.api("/tasks/t")).await;
    assert_eq!(task["lines"], 5 + STRANGERS);
}

#[tokio::test]
async fn a_resend_is_acknowledged_and_not_kept_twice() {
    let server = TestServer::start_with(&["--task-grace=1h"]).await;
    let resendable = |seq: usize| resendable("s1", seq);
    let mut first = Producer::open(&mut connect(&server.grpc()).await).await;
    first.push_all(1, (1..=5).map(resendable).collect()).await;
    drop(first);
    let mut second = Producer::open(&mut connect(&server.grpc()).await).await;
    second.push_all(1, (3..=8).map(resendable).collect()).await;
    let expected: Vec<_> = (1..=8).map(|seq| format!("line {seq}\n")).collect();
    assert_eq!(text(|path| server.api(path), "t").await, expected.concat());
}

/// Sends bytes as they are.
#[derive(Debug, Default, Clone)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = otto_handler::proto::ottoscaler::LogForwardResponse;
    type Encoder = Self;
    type Decoder = tonic_prost::ProstDecoder<Self::Decode>;
    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self::Decoder {
        tonic_prost::ProstDecoder::new(Default::default())
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = tonic::Status;
    fn encode(&mut self, bytes: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), tonic::Status> {
        bytes::BufMut::put_slice(out, &bytes);
        Ok(())
    }
}

#[tokio::test]
async fn bytes_that_are_no_entry_are_dropped_with_the_reason_and_the_stream_goes_on() {
    let server = TestServer::start().await;
    let channel = tonic::transport::Endpoint::from_shared(server.grpc()).unwrap();
    let mut grpc = tonic::client::Grpc::new(channel.connect().await.unwrap());
    grpc.ready().await.unwrap();
    let good = b"\x0a\x01w\x12\x01t\x32\x04good".to_vec();
    // What a C++ producer sends.
    let no_utf8 = b"\x0a\x01w\x12\x01t\x32\x06caf\xe9 \xff".to_vec();
    let cut = b"\x0a\x01w\x12\x01t\x32\x09cut".to_vec();
    let no_id = b"\x0a\x01\xff\x12\x01t\x32\x01a".to_vec();
    let sent = tokio_stream::iter([b"\xff\xff\xff".to_vec(), good, no_utf8, cut, no_id]);
    let path = "/ottoscaler.v1.OttoHandlerLogService/ForwardWorkerLogs".parse().unwrap();
    let mut responses = grpc.streaming(Request::new(sent), path, Raw).await.unwrap().into_inner();
    let mut acks = Vec::new();
    while let Some(response) = within("a response", responses.message()).await.unwrap() {
        acks.push((response.status(), response.message));
    }
    let no_entry = "the message is not a log entry: ";
    let truncated = format!("{no_entry}it ends in the middle of a field");
    let no_id = format!("{no_entry}field 1 is not UTF-8 from its byte 0 on");
    let kept = || (Status::Ack, String::new());
    let dropped = |reason: &str| (Status::Drop, reason.to_owned());
    let expected = [dropped(&truncated), kept(), kept(), dropped(&truncated), dropped(&no_id)];
    assert_eq!(acks, expected);
    // Of those whose task can be read, the log tells that they are missing.
    let gap = |reason: &str| format!("--- 1 line is missing here: {reason} ---\n");
    let lines = "good\ncaf\u{fffd} \u{fffd}\n".to_owned();
    let expected = lines + &gap(&truncated) + &gap(&no_id);
    assert_eq!(text(|path| server.api(path), "t").await, expected);
    let entries = ndjson(|path| server.api(path), "t").await;
    assert_eq!(entries[0].get("metadata"), None);
    assert_eq!(entries[1]["metadata"], serde_json::json!({ "otto.utf8": "repaired" }));
    assert_eq!(json(&server.api("/tasks/t")).await["lostLines"], 2);
}

#[tokio::test]
async fn a_status_that_is_not_utf8_is_kept_and_marked() {
    let server = TestServer::start().await;
    let channel = tonic::transport::Endpoint::from_shared(server.grpc()).unwrap();
    let mut grpc = tonic::client::Grpc::new(channel.connect().await.unwrap());
    grpc.ready().await.unwrap();
    let status = b"\x0a\x01w\x12\x01t\x18\x03\x2a\x04no\xff!".to_vec();
    let path = "/ottoscaler.v1.OttoHandlerLogService/NotifyWorkerStatus".parse().unwrap();
    grpc.unary(Request::new(status), path, Raw).await.unwrap();
    let mut reader = Reader::open(&server.api("/stream/t")).await;
    let status: serde_json::Value = serde_json::from_str(&reader.event().await.data).unwrap();
    assert_eq!((&status["status"], &status["reason"]), (&"FAILED".into(), &"no\u{fffd}!".into()));
    assert_eq!(status["metadata"]["otto.utf8"], "repaired");
}

fn notification(status: StatusType, timestamp: &str) -> WorkerStatusNotification {
    WorkerStatusNotification {
        worker_id: "w".into(),
        task_id: "t".into(),
        status: status.into(),
        timestamp: timestamp.into(),
        reason: "because".into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_status_is_kept_a_repeat_ignored_and_an_impossible_one_explained() {
    let server = TestServer::start().await;
    let mut client = connect(&server.grpc()).await;
    let mut acks = Vec::new();
    let notifications = [
        notification(StatusType::Running, "2026-11-24T06:57:29Z"),
        notification(StatusType::Running, "2026-11-24T06:57:29Z"),
        notification(StatusType::Completed, ""),
        notification(StatusType::Completed, ""),
    ];
    for notification in notifications {
        acks.push(client.notify_worker_status(notification).await.unwrap().into_inner().status());
    }
    let (received, ignored) = (AckStatus::Received, AckStatus::Ignored);
    assert_eq!(acks, [received, ignored, received, ignored]);
    let bad = WorkerStatusNotification { status: 9, ..notification(StatusType::Failed, "") };
    let ack = client.notify_worker_status(bad).await.unwrap().into_inner();
    assert_eq!(ack.status(), AckStatus::Error);
    assert_eq!(ack.message, "status is 9, it needs 0 (CREATED) to 4 (TERMINATED)");
    let nameless = WorkerStatusNotification {
        worker_id: String::new(),
        ..notification(StatusType::Failed, "")
    };
    let ack = client.notify_worker_status(nameless).await.unwrap().into_inner();
    assert_eq!(ack.message, "worker_id is empty, it needs 1 to 253 bytes");
}

#[tokio::test]
async fn a_task_completes_when_its_workers_have_ended_and_its_streams_too() {
    let server = TestServer::start().await;
    let mut client = connect(&server.grpc()).await;
    let mut producer = Producer::open(&mut client).await;
    producer.push_all(1, numbered("t", 3)).await;
    client.notify_worker_status(notification(StatusType::Failed, "")).await.unwrap();
    let mut reader = Reader::open(&server.api("/stream/t")).await;
    assert_eq!(messages(&reader.logs(3).await), ["line 1", "line 2", "line 3"]);
    let status = reader.event().await;
    assert_eq!(status.event, "status");
    assert!(status.data.contains("\"status\":\"FAILED\""), "{}", status.data);
    producer.push_all(4, vec![entry("t", "a last line")]).await;
    assert_eq!(messages(&reader.logs(1).await), ["a last line"]);
    producer.finish().await;
    let complete = reader.event().await;
    assert_eq!(complete.event, "complete");
    let verdict: serde_json::Value = serde_json::from_str(&complete.data).unwrap();
    assert_eq!((&verdict["lines"], &verdict["lostLines"]), (&4.into(), &0.into()));
    assert_eq!(verdict["workers"][0]["state"], "FAILED");
    assert_eq!(reader.next().await, None);
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused_and_a_freed_place_is_taken() {
    let server = TestServer::start_with(&["--max-push-streams=1"]).await;
    let mut client = connect(&server.grpc()).await;
    let first = Producer::open(&mut client).await;
    let refused = client.forward_worker_logs(tokio_stream::pending()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.message(), "1 streams push already, which is the limit");
    first.finish().await;
    let mut second = Producer::open(&mut client).await;
    second.send(entry("t", "in")).await;
    assert_eq!(second.response().await, ack(1));
}
