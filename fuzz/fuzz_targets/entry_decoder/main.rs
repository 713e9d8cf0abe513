//! Arbitrary bytes as a producer's message: the product's single pass must give the same result as
//! the slow way.

#![no_main]

mod repair;
mod slow;

use libfuzzer_sys::fuzz_target;
use otto_handler::domain::{Kind, Records};
use otto_handler::encode::{EntryEncoder, LineLimits, ProducerNumbering, WireLayout};
use otto_handler::ingest::{Accepted, EntryReader, Ids, Refusal};
use serde_json::Value;
use slow::{KeptEntry, Numbered, Verdict};

const RECEIVED_AT: &str = "2026-11-24T06:57:29.123Z";

fuzz_target!(|wire: &[u8]| {
    for layout in [WireLayout::WorkerLogEntry, WireLayout::LogEntry] {
        check_encoder(layout, wire);
        check_reader(layout, wire);
        check_parts(layout, wire);
    }
});

/// The input as a stream of messages, each of which may repeat much of those before it.
fn messages(wire: &[u8]) -> [&[u8]; 6] {
    let (front, back) = wire.split_at(wire.len() / 2);
    [wire, wire, front, back, wire, front]
}

/// The encoder accepts what prost accepts, and the JSON of both is the same, whatever the
/// encoder has seen before.
fn check_encoder(layout: WireLayout, wire: &[u8]) {
    let (mut encoder, mut ids) = (EntryEncoder::new(layout), owned(("", "")));
    for message in messages(wire) {
        let mut body = Vec::new();
        let fast = encoder.encode(message, RECEIVED_AT, &mut body);
        match (slow::decode(layout, message), fast) {
            (Ok(slow), Ok(fast)) => {
                // Ids are returned only when they differ from those of the message before.
                ids = fast.ids.map(|ids| owned((ids.task_id, ids.worker_id))).unwrap_or(ids);
                assert_eq!(ids, owned((&slow.task_id, &slow.worker_id)));
                let Numbered { entry, session, seq, is_unfinished } = slow::numbering(layout, slow);
                let (session, seq) = (session.as_deref(), seq.as_deref());
                assert_eq!(fast.numbering, ProducerNumbering { session, seq, is_unfinished });
                assert_eq!(parse_line(&body), slow::json(&entry, RECEIVED_AT));
            }
            (Err(_), Err(_)) => {}
            (slow, fast) => panic!("{layout:?}: prost returned {slow:?}, the encoder {fast:?}"),
        }
    }
}

/// One reader reads a stream of messages, none of which depends on those before it.
fn check_reader(layout: WireLayout, wire: &[u8]) {
    let limits = limits(usize::MAX / 2);
    let mut reader = EntryReader::new(layout, limits);
    let (mut kept, mut bodies) = (Records::default(), Vec::new());
    for message in messages(wire) {
        let item = reader.read(message, RECEIVED_AT);
        assert_eq!(item.wire_bytes, message.len());
        if let Some(records) = check_entry(slow::verdict(layout, message), item.entry) {
            bodies.push(only_body(&records).to_vec());
            kept.append(records);
        }
    }
    let read: Vec<_> = kept.iter().map(|(_, body)| body.to_vec()).collect();
    assert_eq!(read, bodies, "the records change when they are in one buffer");
    assert_eq!(kept.count() as usize, bodies.len());
}

/// A line that is kept in parts is the same line, and what is refused for another reason stays so.
fn check_parts(layout: WireLayout, wire: &[u8]) {
    let mut reader = EntryReader::new(layout, limits(32));
    for message in messages(wire) {
        let read = reader.read(message, RECEIVED_AT).entry;
        match (slow::verdict(layout, message), read) {
            (Verdict::Keep(kept), Ok(accepted)) => {
                let parts = accepted.records.iter().map(|(_, body)| parse_line(body));
                let text = |part: Value| part["message"].as_str().map(str::to_owned);
                let joined: Option<String> = parts.map(text).collect();
                if accepted.is_unfinished {
                    // Of what is only shown, the first part is enough.
                    assert!(kept.entry.message.starts_with(&joined.unwrap_or_default()));
                } else {
                    assert_eq!(joined, Some(kept.entry.message));
                }
                assert_eq!(texts(&accepted.ids), kept.ids);
            }
            (Verdict::Keep(_), Err(refusal)) => {
                assert!(refusal.reason.contains("without its message"), "{}", refusal.reason);
            }
            (Verdict::Refuse { ids }, Err(refusal)) => {
                assert_eq!(refusal.ids.as_ref().map(texts), ids);
            }
            (slow, fast) => panic!("expected {slow:?}, the reader returned {fast:?}"),
        }
    }
}

fn limits(entry_bytes: usize) -> LineLimits {
    LineLimits { entry_bytes, line_bytes: usize::MAX / 2, encoded_bytes: usize::MAX / 2 }
}

/// The reader's verdict on one message must be that of the slow way; returns what it keeps.
fn check_entry(slow: Verdict, fast: Result<Accepted, Refusal>) -> Option<Records> {
    match (slow, fast) {
        (Verdict::Keep(kept), Ok(accepted)) => {
            check_accepted(&kept, &accepted);
            Some(accepted.records)
        }
        (Verdict::Refuse { ids }, Err(refusal)) => {
            assert_eq!(refusal.ids.as_ref().map(texts), ids);
            assert!(!refusal.reason.is_empty(), "a refusal gives no reason");
            None
        }
        (slow, fast) => panic!("expected {slow:?}, the reader returned {fast:?}"),
    }
}

fn check_accepted(kept: &KeptEntry, accepted: &Accepted) {
    assert_eq!(texts(&accepted.ids), kept.ids);
    let seq = accepted.producer_seq.as_ref();
    assert_eq!(seq.map(|seq| (seq.session.clone(), seq.seq)), kept.seq);
    assert_eq!(accepted.is_unfinished, kept.is_unfinished);
    let json = parse_line(only_body(&accepted.records));
    assert_eq!(json, slow::json(&kept.entry, RECEIVED_AT));
}

fn owned((task, worker): (&str, &str)) -> (String, String) {
    (task.to_owned(), worker.to_owned())
}

/// The task and the worker.
fn texts(ids: &Ids) -> (String, String) {
    owned((ids.task.as_str(), ids.worker.as_str()))
}

fn only_body(records: &Records) -> &[u8] {
    let mut all = records.iter();
    let (Some((Kind::Log, body)), None, 1) = (all.next(), all.next(), records.count()) else {
        panic!("an entry is to become one log record, not {records:?}");
    };
    body
}

/// Parses a record's body, which must be one line of JSON without a repeated member.
fn parse_line(body: &[u8]) -> Value {
    let line = [b"{", body].concat();
    assert!(!line.iter().any(|byte| matches!(byte, b'\n' | b'\r')), "a body is to be one line");
    let json: Value = serde_json::from_slice(&line).expect("a body is to be JSON");
    // Both write compactly and escape alike, so the lengths differ only when a member is repeated,
    // of which the parser keeps one.
    let again = serde_json::to_vec(&json).expect("a parsed value can be written");
    assert_eq!(
        line.len(),
        again.len(),
        "{:?} has a repeated member",
        String::from_utf8_lossy(&line)
    );
    json
}
