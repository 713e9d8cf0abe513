//! From a log entry's protobuf bytes to a record's body, in one pass.
//!
//! Entries of one stream repeat the ids, the pod and the metadata. An [`EntryEncoder`] remembers
//! how it wrote those of the last entry and copies that where the bytes are the same, so only the
//! line itself is scanned, checked and escaped each time.

use super::escape::write_bytes;
use super::json::{EntryIds, optional_map, write_end, write_ids, write_pod};
use super::protobuf::{Field, Malformed, next_field, text};
use super::scan::{PodParts, WireLayout, drop_repeats, pair, put, scan_pod};

/// Entry metadata that names the producer's session.
pub const SESSION_KEY: &str = "otto.session";

/// Entry metadata that numbers the entry within its session.
pub const SEQ_KEY: &str = "otto.seq";

/// Entry metadata that marks a line as unfinished, with the value `true`: it is shown, not kept.
pub const UNFINISHED_KEY: &str = "otto.partial";

/// The longest piece of an entry that is remembered, in bytes of the message.
const MEMO_BYTES: usize = 2 * 1024;

/// What the server itself needs of an entry; only checked to be UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoded<'a> {
    /// The task and the worker; `None` when they are those that were given last.
    pub ids: Option<EntryIds<'a>>,
    /// The producer's numbering, which is for the server and not in the body.
    pub numbering: ProducerNumbering<'a>,
}

/// What the entry's metadata tells the server alone: the producer's own numbering, and whether the
/// line is one that the server keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProducerNumbering<'a> {
    /// The value of [`SESSION_KEY`].
    pub session: Option<&'a str>,
    /// The value of [`SEQ_KEY`].
    pub seq: Option<&'a str>,
    /// Whether [`UNFINISHED_KEY`] marks the line. Only entries of `ForwardWorkerLogs` have the mark;
    /// elsewhere the key is one like any other.
    pub is_unfinished: bool,
}

/// Encodes the entries of one stream.
#[derive(Debug)]
pub struct EntryEncoder {
    layout: WireLayout,
    ids: IdsMemo,
    pod: BytesMemo,
    /// Everything from the first nested field to the message's end.
    nested: BytesMemo,
}

/// The last ids and the JSON that was written for them.
#[derive(Debug, Default)]
struct IdsMemo {
    task_id: Vec<u8>,
    worker_id: Vec<u8>,
    json: Vec<u8>,
}

/// A piece of a message and the JSON that was written for it.
#[derive(Debug, Default)]
struct BytesMemo {
    wire: Vec<u8>,
    json: Vec<u8>,
}

/// An entry's fields as they stand on the wire. Texts that were replaced by later ones are
/// checked, the others are when they are written.
#[derive(Debug, Default)]
struct Found<'a> {
    worker_id: &'a [u8],
    task_id: &'a [u8],
    timestamp: &'a [u8],
    level: &'a [u8],
    source: &'a [u8],
    message: &'a [u8],
    nested: Nested<'a>,
}

/// An entry's nested fields.
#[derive(Debug, Default)]
enum Nested<'a> {
    #[default]
    None,
    /// The same as in the entry before.
    Known,
    New {
        /// From the first of them to the message's end.
        wire: &'a [u8],
        /// Whether only nested fields stand there.
        is_pure: bool,
        pods: Vec<&'a [u8]>,
        metadata: Vec<(&'a str, &'a str)>,
    },
}

impl EntryEncoder {
    /// An encoder of messages in `layout`.
    pub fn new(layout: WireLayout) -> Self {
        let (ids, pod, nested) = Default::default();
        Self { layout, ids, pod, nested }
    }

    /// Appends the record's body for `message`. As in prost, fields may stand in
    /// any order, unknown ones are skipped, of a repeated scalar or map key the last wins, and a
    /// repeated `pod_metadata` is merged.
    ///
    /// # Errors
    /// Says what is wrong with the bytes; something may have been appended all the same.
    pub fn encode<'a>(
        &mut self,
        message: &'a [u8],
        received_at: &str,
        out: &mut Vec<u8>,
    ) -> Result<Encoded<'a>, Malformed> {
        let encoded = self.write_body(message, received_at, out);
        if encoded.is_err() {
            // The caller has not seen the ids that were written.
            self.ids.json.clear();
        }
        encoded
    }

    fn write_body<'a>(
        &mut self,
        message: &'a [u8],
        received_at: &str,
        out: &mut Vec<u8>,
    ) -> Result<Encoded<'a>, Malformed> {
        let found = self.find(message)?;
        let ids = self.ids.write(out, found.task_id, found.worker_id)?;
        out.extend_from_slice(b",\"timestamp\":");
        write(out, 3, or(found.timestamp, received_at.as_bytes()))?;
        out.extend_from_slice(b",\"level\":");
        write(out, 4, or(found.level, b"INFO"))?;
        out.extend_from_slice(b",\"source\":");
        write(out, 5, or(found.source, b"stdout"))?;
        out.extend_from_slice(b",\"message\":");
        write(out, 6, found.message)?;
        let numbering = self.write_nested(out, found.nested)?;
        write_end(out, received_at);
        Ok(Encoded { ids, numbering })
    }

    fn find<'a>(&self, message: &'a [u8]) -> Result<Found<'a>, Malformed> {
        let mut found = Found::default();
        let mut rest = message;
        loop {
            let from_here = rest;
            let Some(field) = next_field(&mut rest, 0)? else { return Ok(found) };
            if !self.layout.is_nested(field.number) {
                found.set(&field)?;
                continue;
            }
            if matches!(found.nested, Nested::None) && self.nested.is_of(from_here) {
                found.nested = Nested::Known;
                return Ok(found);
            }
            found.nested.add(self.layout, &field, from_here)?;
        }
    }

    fn write_nested<'a>(
        &mut self,
        out: &mut Vec<u8>,
        nested: Nested<'a>,
    ) -> Result<ProducerNumbering<'a>, Malformed> {
        let (wire, is_pure, pods, mut metadata) = match nested {
            Nested::None => return Ok(ProducerNumbering::default()),
            Nested::Known => {
                out.extend_from_slice(&self.nested.json);
                return Ok(ProducerNumbering::default());
            }
            Nested::New { wire, is_pure, pods, metadata } => (wire, is_pure, pods, metadata),
        };
        let start = out.len();
        self.write_pods(out, &pods)?;
        drop_repeats(&mut metadata);
        let numbering = ProducerNumbering::take(&mut metadata, self.layout);
        optional_map(out, "metadata", &metadata);
        if is_pure && numbering == ProducerNumbering::default() {
            self.nested.remember(wire, &out[start..]);
        }
        Ok(numbering)
    }

    fn write_pods(&mut self, out: &mut Vec<u8>, pods: &[&[u8]]) -> Result<(), Malformed> {
        if let [pod] = pods
            && self.pod.is_of(pod)
        {
            out.extend_from_slice(&self.pod.json);
            return Ok(());
        }
        if pods.is_empty() {
            return Ok(());
        }
        let start = out.len();
        let mut parts = PodParts::default();
        pods.iter().try_for_each(|pod| scan_pod(pod, &mut parts))?;
        drop_repeats(&mut parts.labels);
        write_pod(out, &parts);
        if let [pod] = pods {
            self.pod.remember(pod, &out[start..]);
        }
        Ok(())
    }
}

impl<'a> Found<'a> {
    fn set(&mut self, field: &Field<'a>) -> Result<(), Malformed> {
        let bytes = match field.number {
            1 => &mut self.worker_id,
            2 => &mut self.task_id,
            3 => &mut self.timestamp,
            4 => &mut self.level,
            5 => &mut self.source,
            6 => &mut self.message,
            _ => return Ok(()),
        };
        let replaced = std::mem::replace(bytes, field.bytes()?);
        if !replaced.is_empty() {
            text(field.number, replaced)?;
        }
        if let Nested::New { is_pure, .. } = &mut self.nested {
            *is_pure = false;
        }
        Ok(())
    }
}

impl<'a> Nested<'a> {
    /// Adds a nested field, with which `from_here` begins.
    fn add(
        &mut self,
        layout: WireLayout,
        field: &Field<'a>,
        from_here: &'a [u8],
    ) -> Result<(), Malformed> {
        if matches!(self, Self::None) {
            let (pods, metadata) = Default::default();
            *self = Self::New { wire: from_here, is_pure: true, pods, metadata };
        }
        if let Self::New { pods, metadata, .. } = self {
            let bytes = field.bytes()?;
            if field.number == layout.metadata() {
                put(metadata, pair(bytes, 1)?);
            } else {
                pods.push(bytes);
            }
        }
        Ok(())
    }
}

impl<'a> ProducerNumbering<'a> {
    /// Takes the numbering out of an entry's metadata.
    fn take(metadata: &mut Vec<(&'a str, &'a str)>, layout: WireLayout) -> Self {
        let mut numbering = Self::default();
        metadata.retain(|(key, value)| match *key {
            SESSION_KEY => numbering.session.replace(*value).is_some(),
            SEQ_KEY => numbering.seq.replace(*value).is_some(),
            UNFINISHED_KEY if *value == "true" && layout == WireLayout::WorkerLogEntry => {
                numbering.is_unfinished = true;
                false
            }
            _ => true,
        });
        numbering
    }
}

impl IdsMemo {
    /// Writes the ids; returns them when they are not the last ones.
    fn write<'a>(
        &mut self,
        out: &mut Vec<u8>,
        task_id: &'a [u8],
        worker_id: &'a [u8],
    ) -> Result<Option<EntryIds<'a>>, Malformed> {
        let is_known = self.task_id == task_id && self.worker_id == worker_id;
        // Nothing is remembered yet where nothing was written.
        let new = if is_known && !self.json.is_empty() {
            None
        } else {
            self.json.clear();
            let ids = EntryIds { task_id: text(2, task_id)?, worker_id: text(1, worker_id)? };
            self.remember(ids);
            Some(ids)
        };
        out.extend_from_slice(&self.json);
        Ok(new)
    }

    fn remember(&mut self, ids: EntryIds<'_>) {
        write_ids(&mut self.json, ids);
        ids.task_id.as_bytes().clone_into(&mut self.task_id);
        ids.worker_id.as_bytes().clone_into(&mut self.worker_id);
    }
}

impl BytesMemo {
    fn is_of(&self, wire: &[u8]) -> bool {
        !wire.is_empty() && self.wire == wire
    }

    fn remember(&mut self, wire: &[u8], json: &[u8]) {
        if wire.len() <= MEMO_BYTES {
            wire.clone_into(&mut self.wire);
            json.clone_into(&mut self.json);
        }
    }
}

fn or<'a>(value: &'a [u8], default: &'a [u8]) -> &'a [u8] {
    if value.is_empty() { default } else { value }
}

fn write(out: &mut Vec<u8>, number: u32, bytes: &[u8]) -> Result<(), Malformed> {
    write_bytes(out, bytes).map_err(|position| Malformed::Utf8 { number, position })
}
