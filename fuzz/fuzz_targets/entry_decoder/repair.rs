//! The slow and obvious way to repair a message: all its texts are read as bytes.

use std::collections::HashMap;

use otto_handler::encode::WireLayout;
use otto_handler::proto::ottoscaler::{WorkerLogEntry, WorkerMetadata};
use prost::Message;

use crate::slow::is_id;

/// Fields that both log messages have. Every occurrence is kept, for each must be text.
#[derive(Clone, PartialEq, Message)]
struct RawTexts {
    #[prost(bytes = "vec", repeated, tag = "1")]
    worker_id: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    task_id: Vec<Vec<u8>>,
    #[prost(bytes = "vec", tag = "3")]
    timestamp: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    level: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    source: Vec<u8>,
    #[prost(bytes = "vec", tag = "6")]
    message: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "7")]
    nested: Vec<Vec<u8>>,
}

/// The one that only `WorkerLogEntry` has.
#[derive(Clone, PartialEq, Message)]
struct RawMetadata {
    #[prost(bytes = "vec", repeated, tag = "8")]
    metadata: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct RawIds {
    #[prost(bytes = "vec", repeated, tag = "1")]
    worker_id: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    task_id: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct RawPod {
    #[prost(bytes = "vec", tag = "1")]
    pod_name: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    namespace: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    node_name: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    created_at: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "5")]
    labels: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct RawPair {
    #[prost(bytes = "vec", repeated, tag = "1")]
    key: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    value: Vec<Vec<u8>>,
}

/// The entry with U+FFFD for what is not UTF-8, and a mark; `None` where that is not all that is
/// wrong.
pub fn entry(layout: WireLayout, wire: &[u8]) -> Option<WorkerLogEntry> {
    let raw = RawTexts::decode(wire).ok()?;
    let (pods, pairs) = match layout {
        WireLayout::WorkerLogEntry => (raw.nested, RawMetadata::decode(wire).ok()?.metadata),
        WireLayout::LogEntry => (Vec::new(), raw.nested),
    };
    let mut metadata = map(&pairs)?;
    metadata.insert("otto.utf8".into(), "repaired".into());
    Some(WorkerLogEntry {
        worker_id: last_id(&raw.worker_id)?,
        task_id: last_id(&raw.task_id)?,
        timestamp: lossy(&raw.timestamp),
        level: lossy(&raw.level),
        source: lossy(&raw.source),
        message: lossy(&raw.message),
        pod_metadata: if pods.is_empty() { None } else { Some(pod(&pods)?) },
        metadata,
    })
}

/// Whose a refused message is: what the longest part of it says that makes sense.
pub fn ids(wire: &[u8]) -> Option<(String, String)> {
    let raw = (0..=wire.len()).rev().find_map(|end| RawIds::decode(&wire[..end]).ok())?;
    let text = |all: &[Vec<u8>]| {
        all.last().and_then(|id| String::from_utf8(id.clone()).ok()).filter(|id| is_id(id))
    };
    let worker = text(&raw.worker_id).unwrap_or_else(|| "unknown".into());
    Some((text(&raw.task_id)?, worker))
}

fn pod(all: &[Vec<u8>]) -> Option<WorkerMetadata> {
    // Each must make sense alone; together they are merged.
    let all_raw: Option<Vec<_>> = all.iter().map(|pod| RawPod::decode(&pod[..]).ok()).collect();
    all_raw?;
    let raw = RawPod::decode(&all.concat()[..]).ok()?;
    Some(WorkerMetadata {
        pod_name: lossy(&raw.pod_name),
        namespace: lossy(&raw.namespace),
        node_name: lossy(&raw.node_name),
        created_at: lossy(&raw.created_at),
        labels: map(&raw.labels)?,
    })
}

fn map(pairs: &[Vec<u8>]) -> Option<HashMap<String, String>> {
    let mut map = HashMap::new();
    for pair in pairs {
        let RawPair { key, value } = RawPair::decode(&pair[..]).ok()?;
        let last = |texts: &[Vec<u8>]| texts.last().cloned().unwrap_or_default();
        let is_numbering = matches!(&last(&key)[..], b"otto.session" | b"otto.seq");
        let are_texts = key.iter().chain(&value).all(|text| std::str::from_utf8(text).is_ok());
        if is_numbering && !are_texts {
            return None;
        }
        map.insert(lossy(&last(&key)), lossy(&last(&value)));
    }
    Some(map)
}

fn last_id(all: &[Vec<u8>]) -> Option<String> {
    let texts: Option<Vec<_>> = all.iter().map(|id| String::from_utf8(id.clone()).ok()).collect();
    Some(texts?.pop().unwrap_or_default())
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
