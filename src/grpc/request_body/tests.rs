//! Messages wherever their frames are cut, and bodies that break a rule.

use std::collections::VecDeque;

use futures_util::StreamExt;
use http_body::Frame;
use prost::Message;
use tonic::Code;

use super::*;
use crate::encode::{LineLimits, WireLayout};
use crate::grpc::unpack::pack;
use crate::ingest::{IngestBudget, Refusal};
use crate::proto::ottoscaler::WorkerLogEntry;

/// The longest message.
const MAX_BYTES: usize = 400;

/// A body of these frames.
struct Frames(VecDeque<Bytes>);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Status;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(self.0.pop_front().map(|data| Ok(Frame::data(data))))
    }
}

fn prefixed(compressed: u8, length: usize, message: &[u8]) -> Vec<u8> {
    [&[compressed], &(length as u32).to_be_bytes()[..], message].concat()
}

fn entry(message: &str) -> Vec<u8> {
    let (task_id, worker_id, message) = ("t".into(), "w".into(), message.into());
    let wire = WorkerLogEntry { task_id, worker_id, message, ..Default::default() };
    let wire = wire.encode_to_vec();
    prefixed(0, wire.len(), &wire)
}

/// What was read from a body.
#[derive(Debug, Default)]
struct ReadBody {
    /// The messages' sizes, in bytes.
    sizes: Vec<usize>,
    /// Whether each message was an entry.
    accepted: Vec<bool>,
    /// Of the refused ones, task, worker and reason, where the ids could be read.
    refused: Vec<String>,
    error: Option<Status>,
}

/// Reads `wire` in frames of `bytes`.
async fn read(wire: &[u8], bytes: usize) -> ReadBody {
    read_as(Packing::Identity, wire, bytes).await
}

/// The same of a call that packs its messages so.
async fn read_as(packing: Packing, wire: &[u8], bytes: usize) -> ReadBody {
    let frames = wire.chunks(bytes).map(Bytes::copy_from_slice).collect();
    let (body, counter) = (Body::new(Frames(frames)), MessageCounter::default());
    let connection = IngestBudget::new(8 << 20, MAX_BYTES).connection();
    let budget = StreamBudget::new(connection, std::time::Duration::from_secs(30));
    let limits = LineLimits { entry_bytes: 400, line_bytes: 400, encoded_bytes: 1 << 20 };
    let reader = EntryReader::new(WireLayout::WorkerLogEntry, limits);
    let limits = (packing, MAX_BYTES);
    let mut entries = RequestBody::new(body, reader, limits, counter.clone(), budget);
    let mut read = ReadBody::default();
    while let Some(incoming) = entries.next().await {
        match incoming {
            Ok(incoming) => {
                read.sizes.push(incoming.wire_bytes);
                read.accepted.push(incoming.entry.is_ok());
                if let Err(Refusal { ids: Some(ids), reason }) = incoming.entry {
                    read.refused.push(format!("{}/{}: {reason}", ids.task, ids.worker));
                }
            }
            Err(status) => read.error = Some(status),
        }
        if read.error.is_some() {
            break;
        }
    }
    assert_eq!(counter.get(), read.sizes.len() as u64);
    read
}

#[tokio::test]
async fn messages_come_out_whole_wherever_the_frames_are_cut() {
    let long = "x".repeat(300);
    let empty = prefixed(0, 0, b"");
    let wire = [entry("one"), empty, entry(&long), entry("last")].concat();
    for bytes in 1..=wire.len() {
        let read = read(&wire, bytes).await;
        assert_eq!(read.sizes, [11, 0, 309, 12], "frames of {bytes} bytes");
        assert_eq!(read.accepted, [true, false, true, true], "frames of {bytes} bytes");
        assert!(read.error.is_none(), "frames of {bytes} bytes: {:?}", read.error);
    }
}

/// The entry, packed.
fn packed(message: &str) -> Vec<u8> {
    let wire = pack(&entry(message)[PREFIX_BYTES..]);
    prefixed(1, wire.len(), &wire)
}

#[tokio::test]
async fn packed_messages_come_out_unpacked_wherever_the_frames_are_cut() {
    let long = "x".repeat(300);
    let too_long = "y".repeat(70_000);
    let wire = [packed("one"), entry("two"), packed(&long), packed(&too_long), packed("last")];
    let wire = wire.concat();
    for bytes in (1..200).chain([wire.len()]) {
        let read = read_as(Packing::Gzip, &wire, bytes).await;
        assert_eq!(read.sizes, [11, 11, 309, 70_010, 12], "frames of {bytes} bytes");
        assert_eq!(read.accepted, [true, true, true, false, true], "frames of {bytes} bytes");
        let told = "t/w: a message is 70010 bytes, the limit is 400";
        assert_eq!(read.refused, [told], "frames of {bytes} bytes");
        assert!(read.error.is_none(), "frames of {bytes} bytes: {:?}", read.error);
    }
}

#[tokio::test]
async fn a_message_that_cannot_be_unpacked_ends_the_call() {
    let mut damaged = packed("damaged");
    damaged[20] ^= 0x55;
    for bytes in [3, 1000] {
        let read = read_as(Packing::Gzip, &[packed("one"), damaged.clone()].concat(), bytes).await;
        let error = read.error.unwrap();
        assert_eq!((read.accepted, error.code()), (vec![true], Code::Internal));
        assert!(error.message().starts_with("a message cannot be unpacked with gzip"), "{error}");
    }
}

#[tokio::test]
async fn a_message_that_is_too_long_is_skipped_and_its_ids_are_told() {
    let long = "x".repeat(5000);
    let wire = [entry("one"), entry(&long), entry("last")].concat();
    for bytes in [1, 3, 600, 4099, wire.len()] {
        let read = read(&wire, bytes).await;
        assert_eq!(read.sizes, [11, 5009, 12], "frames of {bytes} bytes");
        assert_eq!(read.accepted, [true, false, true], "frames of {bytes} bytes");
        let told = "t/w: a message is 5009 bytes, the limit is 400";
        assert_eq!(read.refused, [told], "frames of {bytes} bytes");
    }
    let cut = read(&wire[..1000], 100).await;
    let reason = "the stream ends 984 bytes into a message";
    assert_eq!(cut.error.unwrap().message(), reason);
}

#[tokio::test]
async fn a_body_that_breaks_a_rule_ends_with_a_status_that_says_which() {
    let cut = &entry("cut")[..9];
    let cases = [
        (&prefixed(1, 0, b"")[..], Code::Internal, "its compressed flag set"),
        (&prefixed(7, 0, b""), Code::Internal, "compressed flag is 7, it needs 0 or 1"),
        (cut, Code::Internal, "the stream ends 9 bytes into a message"),
    ];
    for (wire, code, reason) in cases {
        let wire = [&entry("good"), wire].concat();
        for bytes in [1, 3, wire.len()] {
            let read = read(&wire, bytes).await;
            let status = read.error.expect(reason);
            assert_eq!((&read.sizes[..], status.code()), (&[12][..], code));
            assert!(status.message().contains(reason), "{status}");
        }
    }
}
