//! Texts that are not UTF-8, made readable before a message is read again.
//!
//! A stray byte must not cost the line: C++ producers send such bytes, although protobuf forbids them.

use super::entry::{SEQ_KEY, SESSION_KEY};
use super::protobuf::{Field, Malformed, next_field};
use super::scan::WireLayout;

/// Metadata of an entry in whose texts bytes were replaced.
const UTF8_KEY: &str = "otto.utf8";

/// The value of [`UTF8_KEY`].
const REPAIRED: &str = "repaired";

/// What a field of a message holds.
enum Shape {
    /// Anything that stays as it is.
    Raw,
    Text,
    /// A map's entry.
    Pair,
    /// A message whose fields have these shapes.
    Message(fn(u32) -> Shape),
}

/// The log entry `message` with U+FFFD for what is not UTF-8 in its texts, and with metadata that
/// says so. Ids and the producer's numbering stay as they are: two that differ must not become one.
///
/// # Errors
/// Says what is wrong with the bytes beside that.
pub fn repair_entry(layout: WireLayout, message: &[u8]) -> Result<Vec<u8>, Malformed> {
    match layout {
        WireLayout::WorkerLogEntry => repair(message, worker_log_entry, layout.metadata()),
        WireLayout::LogEntry => repair(message, log_entry, layout.metadata()),
    }
}

/// The same for a `WorkerStatusNotification`.
///
/// # Errors
/// Says what is wrong with the bytes beside that.
pub fn repair_status(message: &[u8]) -> Result<Vec<u8>, Malformed> {
    repair(message, status_notification, 6)
}

fn worker_log_entry(number: u32) -> Shape {
    match number {
        3..=6 => Shape::Text,
        7 => Shape::Message(pod),
        8 => Shape::Pair,
        _ => Shape::Raw,
    }
}

fn log_entry(number: u32) -> Shape {
    match number {
        3..=6 => Shape::Text,
        7 => Shape::Pair,
        _ => Shape::Raw,
    }
}

fn pod(number: u32) -> Shape {
    match number {
        1..=4 => Shape::Text,
        5 => Shape::Pair,
        _ => Shape::Raw,
    }
}

fn status_notification(number: u32) -> Shape {
    match number {
        4 | 5 => Shape::Text,
        6 => Shape::Pair,
        _ => Shape::Raw,
    }
}

fn key_and_value(number: u32) -> Shape {
    if matches!(number, 1 | 2) { Shape::Text } else { Shape::Raw }
}

fn repair(message: &[u8], shape: fn(u32) -> Shape, metadata: u32) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::with_capacity(message.len() + message.len() / 8 + 64);
    repair_fields(&mut out, message, shape, 0)?;
    put_pair(&mut out, metadata, UTF8_KEY, REPAIRED);
    Ok(out)
}

fn repair_fields(
    out: &mut Vec<u8>,
    mut rest: &[u8],
    shape: fn(u32) -> Shape,
    depth: u32,
) -> Result<(), Malformed> {
    loop {
        let from_here = rest;
        let Some(field) = next_field(&mut rest, depth)? else { return Ok(()) };
        let wire = &from_here[..from_here.len() - rest.len()];
        let inner = match shape(field.number) {
            Shape::Raw => None,
            Shape::Text => {
                put_text(out, field.number, field.bytes()?);
                continue;
            }
            Shape::Pair if is_numbering(&field, depth + 1)? => None,
            Shape::Pair => Some(key_and_value as fn(u32) -> Shape),
            Shape::Message(inner) => Some(inner),
        };
        match inner {
            None => out.extend_from_slice(wire),
            Some(inner) => {
                let mut nested = Vec::new();
                repair_fields(&mut nested, field.bytes()?, inner, depth + 1)?;
                put_bytes(out, field.number, &nested);
            }
        }
    }
}

/// Whether the map's entry `pair` is part of the producer's numbering.
fn is_numbering(pair: &Field<'_>, depth: u32) -> Result<bool, Malformed> {
    let mut rest = pair.bytes()?;
    let mut key: &[u8] = &[];
    while let Some(field) = next_field(&mut rest, depth)? {
        if field.number == 1 {
            key = field.bytes()?;
        }
    }
    Ok(key == SESSION_KEY.as_bytes() || key == SEQ_KEY.as_bytes())
}

/// Appends a map's entry, in the field `number`.
pub(super) fn put_pair(out: &mut Vec<u8>, number: u32, key: &str, value: &str) {
    let mut pair = Vec::new();
    put_bytes(&mut pair, 1, key.as_bytes());
    put_bytes(&mut pair, 2, value.as_bytes());
    put_bytes(out, number, &pair);
}

/// Appends a length-delimited field.
pub(super) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_head(out, number, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends a text with U+FFFD for what is not UTF-8 in `bytes`, without a copy on the way: it may
/// be long.
fn put_text(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    let replacement = |invalid: &[u8]| if invalid.is_empty() { "" } else { "\u{fffd}" };
    let texts =
        || bytes.utf8_chunks().flat_map(|chunk| [chunk.valid(), replacement(chunk.invalid())]);
    put_head(out, number, texts().map(str::len).sum());
    texts().for_each(|text| out.extend_from_slice(text.as_bytes()));
}

fn put_head(out: &mut Vec<u8>, number: u32, bytes: usize) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, bytes as u64);
    out.reserve(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::encode::EntryEncoder;
    use crate::proto::ottoscaler::{WorkerLogEntry, WorkerMetadata, WorkerStatusNotification};

    /// `wire` with the byte 0xff for each `~` in it.
    fn spoil(mut wire: Vec<u8>) -> Vec<u8> {
        wire.iter_mut().filter(|byte| **byte == b'~').for_each(|byte| *byte = 0xff);
        wire
    }

    fn entry(metadata: &[(&str, &str)]) -> WorkerLogEntry {
        let pairs = metadata.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        WorkerLogEntry {
            worker_id: "w".into(),
            task_id: "t".into(),
            timestamp: "T~".into(),
            level: "~".into(),
            source: "std~".into(),
            message: "a~b".into(),
            pod_metadata: Some(WorkerMetadata {
                pod_name: "p~".into(),
                labels: [("l~".into(), "m~".into())].into(),
                ..Default::default()
            }),
            metadata: pairs.collect(),
        }
    }

    #[test]
    fn every_text_is_repaired_and_the_entry_says_so() {
        let wire = spoil(entry(&[("k~", "v~")]).encode_to_vec());
        let repaired = repair_entry(WireLayout::WorkerLogEntry, &wire).unwrap();
        let repaired = WorkerLogEntry::decode(&repaired[..]).unwrap();
        let mut expected = entry(&[("k~", "v~"), ("otto.utf8", "repaired")]);
        let good = |text: &str| text.replace('~', "\u{fffd}");
        for text in [
            &mut expected.timestamp,
            &mut expected.level,
            &mut expected.source,
            &mut expected.message,
        ] {
            *text = good(text);
        }
        let pod = expected.pod_metadata.as_mut().unwrap();
        pod.pod_name = good(&pod.pod_name);
        for map in [&mut pod.labels, &mut expected.metadata] {
            *map = map.iter().map(|(key, value)| (good(key), good(value))).collect();
        }
        assert_eq!(repaired, expected);
    }

    #[test]
    fn ids_and_the_producers_numbering_are_never_repaired() {
        let spoilt = [
            WorkerLogEntry { task_id: "t~".into(), ..entry(&[]) },
            WorkerLogEntry { worker_id: "w~".into(), ..entry(&[]) },
            entry(&[("otto.session", "s~")]),
            entry(&[("otto.seq", "1~")]),
        ];
        for spoilt in spoilt {
            let wire = spoil(spoilt.encode_to_vec());
            let repaired = repair_entry(WireLayout::WorkerLogEntry, &wire).unwrap();
            let mut encoder = EntryEncoder::new(WireLayout::WorkerLogEntry);
            let refused = encoder.encode(&repaired, "now", &mut Vec::new()).unwrap_err();
            assert!(matches!(refused, Malformed::Utf8 { .. }), "{refused}");
        }
    }

    #[test]
    fn a_statuss_reason_is_repaired_too() {
        let status = WorkerStatusNotification {
            worker_id: "w".into(),
            task_id: "t".into(),
            status: 3,
            reason: "~".into(),
            ..Default::default()
        };
        let repaired = repair_status(&spoil(status.encode_to_vec())).unwrap();
        let repaired = WorkerStatusNotification::decode(&repaired[..]).unwrap();
        let metadata = [("otto.utf8".to_owned(), "repaired".to_owned())].into();
        let expected = WorkerStatusNotification { reason: "\u{fffd}".into(), metadata, ..status };
        assert_eq!(repaired, expected);
    }

    proptest! {
        #[test]
        fn what_is_repaired_is_taken_where_only_its_texts_were_wrong(
            wire in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let now = "now";
            let encode = |wire: &[u8]| {
                EntryEncoder::new(WireLayout::WorkerLogEntry)
                    .encode(wire, now, &mut Vec::new())
                    .map(|_| ())
            };
            let repaired = repair_entry(WireLayout::WorkerLogEntry, &wire);
            match encode(&wire) {
                Ok(()) | Err(Malformed::Utf8 { .. }) => {
                    let again = repaired.map(|repaired| encode(&repaired));
                    prop_assert!(
                        matches!(again, Ok(Ok(()) | Err(Malformed::Utf8 { .. }))), "{:?}", again
                    );
                }
                Err(_) => prop_assert!(repaired.map_or(true, |repaired| encode(&repaired).is_err())),
            }
        }
    }
}
