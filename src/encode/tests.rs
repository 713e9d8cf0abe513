//! Compares the encoder's one pass with the slow and obvious way: prost, then serde_json.

use proptest::collection::{hash_map, vec};
use proptest::prelude::*;
use prost::Message;
use serde_json::{Map, Value, json};

use super::*;
use crate::proto::ottoscaler::{LogEntry, WorkerLogEntry, WorkerMetadata};

const RECEIVED_AT: &str = "2026-11-24T06:57:29.123Z";

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[ -~]{0,40}", any::<String>()]
}

fn pairs() -> impl Strategy<Value = std::collections::HashMap<String, String>> {
    prop_oneof![hash_map(text(), text(), 0..4), hash_map("[a-z]{1,3}", text(), 0..40)]
}

prop_compose! {
    fn pod()(pod_name in text(), namespace in text(), node_name in text(), created_at in text(),
             labels in pairs()) -> WorkerMetadata {
        WorkerMetadata { pod_name, namespace, node_name, created_at, labels }
    }
}

prop_compose! {
    fn entry()(worker_id in text(), task_id in text(), timestamp in text(), level in text(),
               source in text(), message in text(), pod_metadata in proptest::option::of(pod()),
               metadata in pairs()) -> WorkerLogEntry {
        WorkerLogEntry { worker_id, task_id, timestamp, level, source, message, pod_metadata, metadata }
    }
}

fn slow_json(entry: &WorkerLogEntry) -> Value {
    let or =
        |value: &str, default: &str| if value.is_empty() { json!(default) } else { json!(value) };
    let mut json = Map::new();
    json.insert("taskId".into(), json!(entry.task_id));
    json.insert("workerId".into(), json!(entry.worker_id));
    json.insert("timestamp".into(), or(&entry.timestamp, RECEIVED_AT));
    json.insert("level".into(), or(&entry.level, "INFO"));
    json.insert("source".into(), or(&entry.source, "stdout"));
    json.insert("message".into(), json!(entry.message));
    if let Some(pod) = &entry.pod_metadata {
        let all = json!({
            "podName": pod.pod_name, "namespace": pod.namespace, "nodeName": pod.node_name,
            "createdAt": pod.created_at, "labels": pod.labels,
        });
        let Value::Object(mut all) = all else { unreachable!() };
        all.retain(|_, value| *value != json!("") && *value != json!({}));
        json.insert("podMetadata".into(), Value::Object(all));
    }
    if !entry.metadata.is_empty() {
        json.insert("metadata".into(), json!(entry.metadata));
    }
    json.insert("receivedAt".into(), json!(RECEIVED_AT));
    Value::Object(json)
}

/// An encoder and the ids that it gave last, as its caller has them.
struct Stream(EntryEncoder, (String, String));

impl Stream {
    fn new(layout: WireLayout) -> Self {
        Self(EntryEncoder::new(layout), Default::default())
    }

    /// The JSON of one message, in which the ids must stand that the caller knows.
    fn json(&mut self, wire: &[u8]) -> Result<Value, Malformed> {
        let mut body = b"{".to_vec();
        let encoded = self.0.encode(wire, RECEIVED_AT, &mut body)?;
        if let Some(EntryIds { task_id, worker_id }) = encoded.ids {
            self.1 = (task_id.to_owned(), worker_id.to_owned());
        }
        assert!(!body.contains(&b'\n'), "an entry must stay on one line");
        let json: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&json["taskId"], &json["workerId"]), (&json!(self.1.0), &json!(self.1.1)));
        Ok(json)
    }
}

/// Either both ways refuse the bytes, or both make the same JSON of them, whatever the encoder
/// had before.
fn assert_same_after(stream: &mut Stream, wire: &[u8]) -> Result<(), TestCaseError> {
    let slow = WorkerLogEntry::decode(wire);
    match (slow, stream.json(wire)) {
        (Ok(slow), Ok(fast)) => prop_assert_eq!(fast, slow_json(&slow)),
        (Err(_), Err(_)) => {}
        (slow, fast) => prop_assert!(false, "prost: {slow:?}, encoder: {fast:?}"),
    }
    Ok(())
}

fn assert_same(wire: &[u8]) -> Result<(), TestCaseError> {
    assert_same_after(&mut Stream::new(WireLayout::WorkerLogEntry), wire)
}

proptest! {
    #[test]
    fn an_entry_becomes_the_json_that_prost_and_serde_make(entry in entry()) {
        let wire = entry.encode_to_vec();
        assert_same(&wire)?;
    }

    #[test]
    fn entries_in_a_row_are_written_as_each_would_be_alone(
        all in vec(entry(), 1..4), order in vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4u8), 1..12),
    ) {
        let mut stream = Stream::new(WireLayout::WorkerLogEntry);
        for (one, other, change) in order {
            let mut entry = one.get(&all).clone();
            let other = other.get(&all).clone();
            match change {
                0 => entry.message = other.message,
                1 => entry.pod_metadata = other.pod_metadata,
                2 => entry.metadata = other.metadata,
                _ => {}
            }
            let mut wire = entry.encode_to_vec();
            assert_same_after(&mut stream, &wire)?;
            // Other ids in a message that is refused, then in one that is not.
            let moved = WorkerLogEntry { task_id: other.task_id, ..entry }.encode_to_vec();
            assert_same_after(&mut stream, &[&moved[..], b"\x32\x01\xff"].concat())?;
            assert_same_after(&mut stream, &moved)?;
            // A scalar behind the nested fields, then the same bytes without it.
            wire.extend_from_slice(b"\x32\x01x");
            assert_same_after(&mut stream, &wire)?;
            wire.truncate(wire.len() - 3);
            assert_same_after(&mut stream, &wire)?;
        }
    }

    #[test]
    fn two_entries_in_a_row_are_merged_as_prost_merges_them(a in entry(), b in entry()) {
        let mut wire = a.encode_to_vec();
        b.encode(&mut wire).unwrap();
        assert_same(&wire)?;
    }

    #[test]
    fn damaged_bytes_are_refused_exactly_when_prost_refuses_them(
        entry in entry(), edits in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        end in any::<prop::sample::Index>(),
    ) {
        let mut wire = entry.encode_to_vec();
        prop_assume!(!wire.is_empty());
        edits.iter().for_each(|(at, byte)| { let at = at.index(wire.len()); wire[at] = *byte; });
        assert_same(&wire)?;
        assert_same(&wire[..end.index(wire.len())])?;
    }

    #[test]
    fn any_bytes_are_taken_or_refused_as_prost_does(wire in vec(any::<u8>(), 0..64)) {
        assert_same(&wire)?;
    }

    #[test]
    fn a_pods_own_entry_has_its_metadata_in_field_7(entry in entry()) {
        let WorkerLogEntry { worker_id, task_id, timestamp, level, source, message, metadata, .. } =
            entry.clone();
        let direct = LogEntry { worker_id, task_id, timestamp, level, source, message, metadata };
        let wire = direct.encode_to_vec();
        let fast = Stream::new(WireLayout::LogEntry).json(&wire).unwrap();
        prop_assert_eq!(fast, slow_json(&WorkerLogEntry { pod_metadata: None, ..entry }));
    }
}

#[test]
fn a_malformed_entry_is_refused_with_the_place_and_the_rule() {
    let scan = |wire: &[u8]| {
        let mut encoder = EntryEncoder::new(WireLayout::WorkerLogEntry);
        encoder.encode(wire, RECEIVED_AT, &mut Vec::new()).unwrap_err().to_string()
    };
    assert_eq!(scan(b"\x32\x03ab\xff"), "field 6 is not UTF-8 from its byte 2 on");
    assert_eq!(scan(b"\x32\x05ab"), "it ends in the middle of a field");
    assert_eq!(scan(b"\x30\x01"), "field 6 has wire type 0, it needs 2 (length-delimited)");
    assert_eq!(scan(b"\x00"), "it has the invalid field key 0");
}

/// `inner` in `depth` groups of the unknown field 9.
fn in_groups(depth: usize, inner: &[u8]) -> Vec<u8> {
    [&vec![0x4b; depth], inner, &vec![0x4c; depth]].concat()
}

/// `payload` as a length-delimited field.
fn field(number: u8, payload: &[u8]) -> Vec<u8> {
    let length = [payload.len() as u8 & 0x7f | 0x80, (payload.len() >> 7) as u8];
    [&[number << 3 | 2], &length[..], payload].concat()
}

#[test]
fn unknown_groups_may_nest_as_deep_as_in_prost_in_every_message() {
    for depth in 96..103 {
        let groups = in_groups(depth, b"");
        let cases = [
            in_groups(depth, b"\x08\x01"),
            groups.clone(),
            field(7, &groups),
            field(8, &groups),
            field(7, &field(5, &groups)),
        ];
        cases.iter().for_each(|wire| assert_same(wire).unwrap());
    }
}

#[test]
fn a_map_of_a_hundred_thousand_repeats_keeps_the_last_and_takes_linear_time() {
    let mut wire = Vec::new();
    for turn in 0..100_000u32 {
        let value = turn.to_string();
        let pair = [b"\x0a\x01k\x12", &[value.len() as u8][..], value.as_bytes()].concat();
        wire.extend_from_slice(&[0x42, pair.len() as u8]);
        wire.extend_from_slice(&pair);
    }
    let json = Stream::new(WireLayout::WorkerLogEntry).json(&wire).unwrap();
    assert_eq!(json["metadata"], json!({"k": "99999"}));
}
