//! A log entry whose line is too long for one entry, in parts.
//!
//! The first part has all of the entry's fields, the others only ids, time, level and source. A
//! line is cut at characters. Of one that is too long as a whole its head is kept, with a mark that
//! says so to whoever reads it, and the line's length in the metadata.

use std::borrow::Cow;

use super::protobuf::{Malformed, next_field, text};
use super::repair::{put_bytes, put_pair};
use super::scan::WireLayout;

/// The number of the field that has the line.
const MESSAGE: u32 = 6;

/// Metadata of a line of which only the head is kept: how many bytes it had.
const LINE_BYTES_KEY: &str = "otto.line_bytes";

/// What a part's JSON has beside its text, in bytes; about, and without the first one's metadata.
const FRAME_BYTES: usize = 1024;

/// What the key and the length of a field take, in bytes.
const FIELD_BYTES: usize = 8;

/// The first byte of an escape sequence.
const ESC: u8 = 0x1b;

/// How far from a part's end an escape sequence is looked for, in bytes.
const SEQUENCE_BYTES: usize = 64;

/// How long entries and lines may be, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct LineLimits {
    /// Of an entry on the wire; a longer one is kept in parts.
    pub entry_bytes: usize,
    /// Of a line's text.
    pub line_bytes: usize,
    /// Of the JSON of a line's parts together.
    pub encoded_bytes: usize,
}

/// Why an entry is not cut into parts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Uncut {
    /// It is no entry.
    #[error("the message is not a log entry: {0}")]
    Malformed(#[from] Malformed),
    /// Its other fields are too long.
    #[error("entry is {bytes} bytes without its message, the limit is {limit}")]
    TooLarge {
        /// How long they are.
        bytes: usize,
        /// How long they may be.
        limit: usize,
    },
}

/// An entry in parts.
#[derive(Debug)]
pub struct LongLine<'a> {
    /// The fields of the first part, but for its text.
    head: Vec<u8>,
    /// The same of the others.
    common: Vec<u8>,
    texts: Vec<Cow<'a, str>>,
    encoded_bytes: usize,
}

impl<'a> LongLine<'a> {
    /// Cuts the entry in `message`.
    ///
    /// # Errors
    /// Says why it cannot be cut.
    pub fn cut(layout: WireLayout, message: &'a [u8], limits: LineLimits) -> Result<Self, Uncut> {
        let (mut head, mut common, mut line) = (Vec::new(), Vec::new(), "");
        let mut rest = message;
        loop {
            let from_here = rest;
            let Some(field) = next_field(&mut rest, 0)? else { break };
            let wire = &from_here[..from_here.len() - rest.len()];
            if field.number == MESSAGE {
                line = text(MESSAGE, field.bytes()?)?;
                continue;
            }
            head.extend_from_slice(wire);
            if field.number < MESSAGE {
                common.extend_from_slice(wire);
            }
        }
        let (bytes, limit) = (head.len(), limits.entry_bytes / 2);
        if bytes > limit {
            return Err(Uncut::TooLarge { bytes, limit });
        }
        let part_bytes = limits.entry_bytes - bytes - FIELD_BYTES;
        let (mut texts, encoded_bytes) = cut_text(line, part_bytes, limits);
        let kept: usize = texts.iter().map(|text| text.len()).sum();
        if kept < line.len() {
            let value = line.len().to_string();
            put_pair(&mut head, layout.metadata(), LINE_BYTES_KEY, &value);
            let mark = format!(" [… cut: the line has {value} bytes, of which {kept} are kept]");
            texts.last_mut().into_iter().for_each(|last| last.to_mut().push_str(&mark));
        }
        Ok(Self { head, common, texts, encoded_bytes })
    }

    /// How many parts it has; at least one.
    pub fn parts(&self) -> usize {
        self.texts.len()
    }

    /// About how many bytes the JSON of all parts takes.
    pub fn encoded_bytes(&self) -> usize {
        self.encoded_bytes + self.head.len()
    }

    /// Each part as an entry's message, in order.
    pub fn messages(&self) -> impl Iterator<Item = Vec<u8>> {
        self.texts.iter().enumerate().map(|(index, text)| {
            let fields = if index == 0 { &self.head } else { &self.common };
            let mut wire = Vec::with_capacity(fields.len() + text.len() + 2 * FIELD_BYTES);
            wire.extend_from_slice(fields);
            put_bytes(&mut wire, MESSAGE, text.as_bytes());
            wire
        })
    }
}

/// As much of `line` as may be kept, in texts of at most `part_bytes`, and about what their JSON
/// takes. There is at least one.
fn cut_text(line: &str, part_bytes: usize, limits: LineLimits) -> (Vec<Cow<'_, str>>, usize) {
    let mut rest = &line[..line.floor_char_boundary(limits.line_bytes)];
    let (mut texts, mut encoded_bytes) = (Vec::new(), 0);
    while !rest.is_empty() || texts.is_empty() {
        let (text, after) = rest.split_at(part_end(rest, part_bytes));
        let with_text = encoded_bytes + FRAME_BYTES + json_bytes(text);
        if with_text > limits.encoded_bytes && !texts.is_empty() {
            break;
        }
        encoded_bytes = with_text;
        texts.push(Cow::Borrowed(text));
        rest = after;
    }
    (texts, encoded_bytes)
}

/// Where a part of `line` of at most `part_bytes` ends: at a character, and before an escape sequence
/// rather than within one.
fn part_end(line: &str, part_bytes: usize) -> usize {
    let end = line.floor_char_boundary(part_bytes);
    let looked_at = end.min(part_bytes / 2).min(SEQUENCE_BYTES);
    let tail = &line.as_bytes()[end - looked_at..end];
    let escape = tail.iter().rposition(|byte| *byte == ESC).filter(|_| end < line.len());
    escape.map_or(end, |at| end - looked_at + at)
}

/// How many bytes `text` takes as a JSON string, at most.
fn json_bytes(text: &str) -> usize {
    let added = |byte: u8| match byte {
        0..0x20 => 5,
        b'"' | b'\\' => 1,
        _ => 0,
    };
    text.len() + text.bytes().map(added).sum::<usize>()
}

/// Says in `body`, an entry's, which of its line's parts it is.
pub fn write_part(body: &mut Vec<u8>, part: usize, parts: usize) {
    // The closing brace goes, and comes again.
    body.pop();
    body.extend_from_slice(format!(",\"part\":{part},\"parts\":{parts}}}").as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::proto::ottoscaler::WorkerLogEntry;

    fn entry(message: &str) -> WorkerLogEntry {
        WorkerLogEntry {
            worker_id: "w".into(),
            task_id: "t".into(),
            timestamp: "T".into(),
            level: "WARN".into(),
            source: "stderr".into(),
            message: message.into(),
            metadata: [("branch".to_owned(), "main".to_owned())].into(),
            ..Default::default()
        }
    }

    fn parts(message: &str, limits: LineLimits) -> Vec<WorkerLogEntry> {
        let wire = entry(message).encode_to_vec();
        let line = LongLine::cut(WireLayout::WorkerLogEntry, &wire, limits).unwrap();
        assert_eq!(line.parts(), line.messages().count());
        line.messages().map(|wire| WorkerLogEntry::decode(&wire[..]).unwrap()).collect()
    }

    const LIMITS: LineLimits =
        LineLimits { entry_bytes: 100, line_bytes: 1000, encoded_bytes: 1 << 20 };

    proptest! {
        #[test]
        fn the_parts_together_are_the_line_and_each_fits(message in "[aü🎉\u{1}\u{1b}\"]{0,400}") {
            let whole = entry(&message);
            let parts = parts(&message, LIMITS);
            let joined: String = parts.iter().map(|part| part.message.as_str()).collect();
            if message.len() <= LIMITS.line_bytes {
                prop_assert_eq!(joined, message);
            }
            for (index, part) in parts.iter().enumerate() {
                let metadata = if index == 0 { part.metadata.clone() } else { Default::default() };
                let expected =
                    WorkerLogEntry { message: part.message.clone(), metadata, ..whole.clone() };
                prop_assert_eq!(part, &expected);
                let is_last = index + 1 == parts.len();
                prop_assert!(is_last || part.encoded_len() <= LIMITS.entry_bytes);
            }
        }
    }

    #[test]
    fn a_line_is_not_cut_within_an_escape_sequence() {
        let message = format!("{}\u{1b}[1;31mred", "x".repeat(46));
        let texts: Vec<_> = parts(&message, LIMITS).into_iter().map(|part| part.message).collect();
        assert_eq!(texts, ["x".repeat(46), "\u{1b}[1;31mred".to_owned()]);
    }

    #[test]
    fn of_a_line_that_is_too_long_the_head_is_kept_with_a_mark() {
        let message = format!("{}ü{}", "x".repeat(999), "y".repeat(500));
        let parts = parts(&message, LIMITS);
        let joined: String = parts.iter().map(|part| part.message.as_str()).collect();
        let mark = " [… cut: the line has 1501 bytes, of which 999 are kept]";
        assert_eq!(joined, format!("{}{mark}", "x".repeat(999)));
        assert_eq!(parts[0].metadata["otto.line_bytes"], "1501");
        // What would take too much memory as JSON is cut too.
        let few = LineLimits { encoded_bytes: 3 * 1024, ..LIMITS };
        let parts = super::tests::parts(&"\u{1}".repeat(900), few);
        assert_eq!(parts.len(), 2);
        assert!(parts[1].message.ends_with(" bytes, of which 106 are kept]"), "{parts:?}");
    }

    #[test]
    fn an_entry_whose_other_fields_are_too_long_is_not_cut() {
        let metadata = [("key".to_owned(), "v".repeat(60))].into();
        let wire = WorkerLogEntry { metadata, ..entry("line") }.encode_to_vec();
        let uncut = LongLine::cut(WireLayout::WorkerLogEntry, &wire, LIMITS).unwrap_err();
        let expected = "entry is 92 bytes without its message, the limit is 50";
        assert_eq!(uncut.to_string(), expected);
        let spoilt = b"\x12\x01t\x32\x02a\xff";
        let uncut = LongLine::cut(WireLayout::WorkerLogEntry, spoilt, LIMITS).unwrap_err();
        assert!(matches!(uncut, Uncut::Malformed(Malformed::Utf8 { .. })), "{uncut}");
    }

    #[test]
    fn a_part_says_which_it_is() {
        let mut body = b"\"message\":\"x\"}".to_vec();
        write_part(&mut body, 2, 3);
        assert_eq!(body, b"\"message\":\"x\",\"part\":2,\"parts\":3}");
    }
}
