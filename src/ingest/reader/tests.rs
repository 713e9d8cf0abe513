//! What becomes of single messages, and of several in a row.

use prost::Message;
use serde_json::{Value, json};

use super::*;
use crate::proto::ottoscaler::WorkerLogEntry;

const RECEIVED_AT: &str = "2026-11-24T06:57:29.123Z";

const LIMITS: LineLimits =
    LineLimits { entry_bytes: 4096, line_bytes: 16_384, encoded_bytes: 1 << 20 };

fn entry(metadata: &[(&str, &str)]) -> WorkerLogEntry {
    let metadata = metadata.iter().map(|(key, value)| (key.to_string(), value.to_string()));
    let (worker_id, task_id) = ("w".into(), "t".into());
    let message = "hello".into();
    WorkerLogEntry {
        worker_id,
        task_id,
        message,
        metadata: metadata.collect(),
        ..Default::default()
    }
}

fn read(entry: &WorkerLogEntry) -> Result<Accepted, String> {
    let mut reader = EntryReader::new(WireLayout::WorkerLogEntry, LIMITS);
    let incoming = reader.read(&entry.encode_to_vec(), RECEIVED_AT);
    incoming.entry.map_err(|refusal| refusal.reason)
}

#[test]
fn the_producers_numbering_is_read_and_hidden_from_readers() {
    let entry = entry(&[("otto.session", "s1"), ("otto.seq", "7"), ("branch", "main")]);
    let accepted = read(&entry).unwrap();
    assert_eq!(accepted.producer_seq, Some(ProducerSeq { session: "s1".into(), seq: 7 }));
    let (_, body) = accepted.records.iter().next().unwrap();
    let body = std::str::from_utf8(body).unwrap();
    assert!(body.contains(r#""metadata":{"branch":"main"}"#), "{body}");
}

#[test]
fn a_broken_numbering_is_refused_with_the_value_and_the_rule() {
    let cases = [
        (&[("otto.session", "s")][..], "metadata has otto.session without otto.seq"),
        (&[("otto.seq", "1")], "metadata has otto.seq without otto.session"),
        (
            &[("otto.session", "s"), ("otto.seq", "-1")],
            "metadata otto.seq is \"-1\", it needs a whole number from 0 to 18446744073709551615",
        ),
        (
            &[("otto.session", ""), ("otto.seq", "1")],
            "metadata otto.session is empty, it needs 1 to 253 bytes",
        ),
    ];
    for (metadata, reason) in cases {
        assert_eq!(read(&entry(metadata)).unwrap_err(), reason);
    }
}

#[test]
fn an_invalid_id_is_refused_by_its_field() {
    let no_task = WorkerLogEntry { task_id: String::new(), ..entry(&[]) };
    assert_eq!(read(&no_task).unwrap_err(), "task_id is empty, it needs 1 to 253 bytes");
    let control = WorkerLogEntry { worker_id: "a\u{7}".into(), ..entry(&[]) };
    let reason = read(&control).unwrap_err();
    assert_eq!(reason, "worker_id holds the control character U+0007 at byte 1");
}

#[test]
fn a_text_that_is_not_utf8_is_kept_and_marked() {
    let wire = b"\x0a\x01w\x12\x01t\x32\x07caf\xe9 \xff\x0a";
    let mut reader = EntryReader::new(WireLayout::WorkerLogEntry, LIMITS);
    let accepted = reader.read(wire, RECEIVED_AT).entry.unwrap();
    let (_, body) = accepted.records.iter().next().unwrap();
    let body = std::str::from_utf8(body).unwrap();
    let expected = r#""message":"caf\u{fffd} \u{fffd}\n","metadata":{"otto.utf8":"repaired"}"#;
    assert!(body.contains(&expected.replace("\\u{fffd}", "\u{fffd}")), "{body}");
}

#[test]
fn a_refusal_names_the_task_where_that_can_be_read() {
    type Named = Option<(&'static str, &'static str)>;
    let cases: [(&[u8], Named); 6] = [
        (b"\x0a\x01w\x12\x01t\x32\x05ab", Some(("t", "w"))),
        (b"\x12\x01t\x32\x01a", Some(("t", "unknown"))),
        (b"\x12\x01t\x0a\x01\xff", Some(("t", "unknown"))),
        (b"\x0a\x01w\x12\x01\xff", None),
        (b"\x0a\x01w\x32\x01a", None),
        (b"\xff\xff\xff", None),
    ];
    for (wire, expected) in cases {
        let mut reader = EntryReader::new(WireLayout::WorkerLogEntry, LIMITS);
        let ids = reader.read(wire, RECEIVED_AT).entry.unwrap_err().ids;
        let found = ids.as_ref().map(|ids| (ids.task.as_str(), ids.worker.as_str()));
        assert_eq!(found, expected, "{wire:?}");
    }
}

#[test]
fn entries_of_one_stream_keep_their_own_bytes_while_they_share_a_buffer() {
    let mut reader = EntryReader::new(WireLayout::WorkerLogEntry, LIMITS);
    let messages: Vec<_> =
        (0..500).map(|turn| format!("line {turn} {}", "x".repeat(turn))).collect();
    let mut all = Records::default();
    for message in &messages {
        let wire = WorkerLogEntry { message: message.clone(), ..entry(&[]) }.encode_to_vec();
        all.append(reader.read(&wire, RECEIVED_AT).entry.unwrap().records);
    }
    assert_eq!(all.count(), 500);
    for ((_, body), message) in all.iter().zip(&messages) {
        assert!(std::str::from_utf8(body).unwrap().contains(&format!("\"message\":\"{message}\"")));
    }
}

#[test]
fn a_long_line_becomes_a_record_for_each_part_under_one_number() {
    let message = "a long line, ".repeat(1000);
    let numbering = [("otto.session", "s"), ("otto.seq", "7"), ("branch", "main")];
    let wire = WorkerLogEntry { message: message.clone(), ..entry(&numbering) }.encode_to_vec();
    let mut reader = EntryReader::new(WireLayout::WorkerLogEntry, LIMITS);
    let accepted = reader.read(&wire, RECEIVED_AT).entry.unwrap();
    assert_eq!(accepted.producer_seq, Some(ProducerSeq { session: "s".into(), seq: 7 }));
    let mut joined = String::new();
    for (part, (kind, body)) in (1..).zip(accepted.records.iter()) {
        assert_eq!(kind, if part == 1 { Kind::Log } else { Kind::Part });
        let json: Value = serde_json::from_slice(&[b"{", body].concat()).unwrap();
        let place = (json["part"].as_u64(), json["parts"].as_u64());
        assert_eq!(place, (Some(part), Some(accepted.records.count().into())));
        let branch = if part == 1 { json!({ "branch": "main" }) } else { Value::Null };
        assert_eq!((&json["taskId"], &json["metadata"]), (&"t".into(), &branch));
        joined.push_str(json["message"].as_str().unwrap());
    }
    assert_eq!(joined, message);
    // The next one is read as ever.
    assert!(reader.read(&entry(&[]).encode_to_vec(), RECEIVED_AT).entry.is_ok());
}

#[test]
fn a_long_line_that_is_not_utf8_is_repaired_and_one_without_a_valid_id_refused() {
    let message = "~".repeat(5000);
    let wire = WorkerLogEntry { message, level: "~".into(), ..entry(&[]) }.encode_to_vec();
    let wire: Vec<_> = wire.iter().map(|byte| if *byte == b'~' { 0xff } else { *byte }).collect();
    let mut reader = EntryReader::new(WireLayout::WorkerLogEntry, LIMITS);
    let accepted = reader.read(&wire, RECEIVED_AT).entry.unwrap();
    let first = accepted.records.iter().next().unwrap().1;
    let json: Value = serde_json::from_slice(&[b"{", first].concat()).unwrap();
    assert_eq!((&json["level"], &json["parts"]), (&"\u{fffd}".into(), &4.into()));
    assert_eq!(json["metadata"]["otto.utf8"], "repaired");

    let message = "x".repeat(5000);
    let nameless = WorkerLogEntry { worker_id: String::new(), message, ..entry(&[]) };
    let refusal = reader.read(&nameless.encode_to_vec(), RECEIVED_AT).entry.unwrap_err();
    assert_eq!(refusal.reason, "worker_id is empty, it needs 1 to 253 bytes");
    assert_eq!(refusal.ids.unwrap().worker.as_str(), "unknown");
}
