//! The slow and obvious way: prost decodes, the contract's rules are applied one by one, and
//! serde_json makes the JSON.

use std::sync::Arc;

use otto_handler::encode::WireLayout;
use otto_handler::proto::ottoscaler::{LogEntry, WorkerLogEntry};
use prost::{DecodeError, Message};
use serde_json::{Map, Value, json};

use crate::repair;

/// The longest id, in bytes.
const MAX_ID_BYTES: usize = 253;

/// A message that is kept.
#[derive(Debug)]
pub struct KeptEntry {
    /// The task and the worker, both valid.
    pub ids: (String, String),
    /// The producer's session, and the entry's number in it.
    pub seq: Option<(Arc<str>, u64)>,
    pub is_unfinished: bool,
    /// The entry without the producer's numbering.
    pub entry: WorkerLogEntry,
}

/// Whether a message must be kept.
#[derive(Debug)]
pub enum Verdict {
    Keep(Box<KeptEntry>),
    /// The task and the worker, where the task can be read.
    Refuse {
        ids: Option<(String, String)>,
    },
}

/// Decodes either message; the two differ in their last fields.
pub fn decode(layout: WireLayout, wire: &[u8]) -> Result<WorkerLogEntry, DecodeError> {
    if layout == WireLayout::WorkerLogEntry {
        return WorkerLogEntry::decode(wire);
    }
    let LogEntry { worker_id, task_id, timestamp, level, source, message, metadata } =
        LogEntry::decode(wire)?;
    let pod_metadata = None;
    Ok(WorkerLogEntry {
        worker_id,
        task_id,
        timestamp,
        level,
        source,
        message,
        pod_metadata,
        metadata,
    })
}

/// Judges one message by the contract's rules.
pub fn verdict(layout: WireLayout, wire: &[u8]) -> Verdict {
    let decoded = decode(layout, wire).ok();
    let entry = match decoded.or_else(|| repair::entry(layout, wire)) {
        Some(entry) if is_id(&entry.task_id) && is_id(&entry.worker_id) => entry,
        _ => return Verdict::Refuse { ids: repair::ids(wire) },
    };
    let ids = (entry.task_id.clone(), entry.worker_id.clone());
    let Numbered { entry, session, seq, is_unfinished } = numbering(layout, entry);
    let seq = match (session, seq) {
        _ if is_unfinished => Some(None),
        (None, None) => Some(None),
        (Some(session), Some(seq)) if is_id(&session) => {
            seq.parse().ok().map(|seq| Some((session.into(), seq)))
        }
        _ => None,
    };
    match seq {
        Some(seq) => Verdict::Keep(Box::new(KeptEntry { ids, seq, is_unfinished, entry })),
        None => Verdict::Refuse { ids: Some(ids) },
    }
}

/// The entry as readers see it, and what its metadata told the server alone.
pub struct Numbered {
    pub entry: WorkerLogEntry,
    pub session: Option<String>,
    pub seq: Option<String>,
    pub is_unfinished: bool,
}

pub fn numbering(layout: WireLayout, mut entry: WorkerLogEntry) -> Numbered {
    let session = entry.metadata.remove("otto.session");
    let seq = entry.metadata.remove("otto.seq");
    let mark = entry.metadata.get("otto.partial").is_some_and(|value| value == "true");
    let is_unfinished = mark && layout == WireLayout::WorkerLogEntry;
    if is_unfinished {
        entry.metadata.remove("otto.partial");
    }
    Numbered { entry, session, seq, is_unfinished }
}

pub fn is_id(text: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// The entry as readers get it, without its offset and line.
pub fn json(entry: &WorkerLogEntry, received_at: &str) -> Value {
    let or =
        |value: &str, default: &str| if value.is_empty() { json!(default) } else { json!(value) };
    let mut json = Map::new();
    json.insert("taskId".into(), json!(entry.task_id));
    json.insert("workerId".into(), json!(entry.worker_id));
    json.insert("timestamp".into(), or(&entry.timestamp, received_at));
    json.insert("level".into(), or(&entry.level, "INFO"));
    json.insert("source".into(), or(&entry.source, "stdout"));
    json.insert("message".into(), json!(entry.message));
    if let Some(pod) = &entry.pod_metadata {
        let members = [
            ("podName", json!(pod.pod_name)),
            ("namespace", json!(pod.namespace)),
            ("nodeName", json!(pod.node_name)),
            ("createdAt", json!(pod.created_at)),
            ("labels", json!(pod.labels)),
        ];
        let is_set = |value: &Value| *value != json!("") && *value != json!({});
        let members = members.into_iter().filter(|(_, value)| is_set(value));
        let pod: Map<_, _> = members.map(|(name, value)| (name.to_string(), value)).collect();
        json.insert("podMetadata".into(), Value::Object(pod));
    }
    if !entry.metadata.is_empty() {
        json.insert("metadata".into(), json!(entry.metadata));
    }
    json.insert("receivedAt".into(), json!(received_at));
    Value::Object(json)
}
