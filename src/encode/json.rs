//! Writes the members of record bodies, those that follow `offset` and `line`.
//!
//! Member names are the contract's lowerCamelCase; members whose value is empty are left out,
//! as in protobuf's own JSON mapping, except those that every reader shows.

use bytes::BufMut;

use super::clock::CachedClock;
use super::escape::write_text;
use super::scan::PodParts;
use crate::domain::{Kind, Outcome, Records, Run, TaskId, WorkerId, WorkerState};

/// The task and worker of an entry, as texts that need not be valid ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryIds<'a> {
    /// The task.
    pub task_id: &'a str,
    /// The worker.
    pub worker_id: &'a str,
}

/// A status notification's parts.
#[derive(Debug, Clone)]
pub struct StatusParts<'a> {
    /// Checked by the caller.
    pub task_id: &'a str,
    /// Checked by the caller.
    pub worker_id: &'a str,
    /// What the worker is now.
    pub state: WorkerState,
    /// Empty: the time of receipt stands in.
    pub timestamp: &'a str,
    /// Why, for people.
    pub reason: &'a str,
    /// Keys are unique.
    pub metadata: Vec<(&'a str, &'a str)>,
}

/// Appends a status's body.
pub fn write_status(out: &mut impl BufMut, status: &StatusParts<'_>, received_at: &str) {
    write_ids(out, EntryIds { task_id: status.task_id, worker_id: status.worker_id });
    member(out, "status", status.state.as_str());
    member(out, "timestamp", or(status.timestamp, received_at));
    optional_member(out, "reason", status.reason);
    optional_map(out, "metadata", &status.metadata);
    write_end(out, received_at);
}

/// Appends the body of a gap: `lines` of a worker that are not kept, `None` where nobody knows how
/// many.
pub fn write_gap(
    out: &mut impl BufMut,
    ids: EntryIds<'_>,
    lines: Option<u64>,
    reason: &str,
    received_at: &str,
) {
    write_ids(out, ids);
    out.put_slice(b",\"lines\":");
    out.put_slice(lines.map_or("null".into(), |lines| lines.to_string()).as_bytes());
    member(out, "reason", reason);
    write_end(out, received_at);
}

/// Appends the body of a task's end that was told.
pub fn write_end_of_task(
    out: &mut impl BufMut,
    task_id: &str,
    outcome: Option<Outcome>,
    received_at: &str,
) {
    out.put_slice(b"\"taskId\":");
    write_text(out, task_id);
    optional_member(out, "outcome", outcome.map_or("", Outcome::as_str));
    write_end(out, received_at);
}

/// A run of one gap that is told now: `lines` of a worker that are not kept, `None` where nobody knows
/// how many.
pub fn gap_run(task: &TaskId, worker: &WorkerId, lines: Option<u64>, reason: &str) -> Run {
    let ids = EntryIds { task_id: task.as_str(), worker_id: worker.as_str() };
    let clock = CachedClock::now();
    let mut records = Records::default();
    records.push_with(Kind::Gap, |out| write_gap(out, ids, lines, reason, clock.as_str()));
    Run { task: task.clone(), worker: worker.clone(), session: None, records }
}

pub(super) fn write_ids(out: &mut impl BufMut, ids: EntryIds<'_>) {
    out.put_slice(b"\"taskId\":");
    write_text(out, ids.task_id);
    member(out, "workerId", ids.worker_id);
}

pub(super) fn write_end(out: &mut impl BufMut, received_at: &str) {
    out.put_slice(b",\"receivedAt\":\"");
    out.put_slice(received_at.as_bytes());
    out.put_slice(b"\"}");
}

pub(super) fn write_pod(out: &mut impl BufMut, pod: &PodParts<'_>) {
    out.put_slice(b",\"podMetadata\":{");
    let members = [
        ("podName", pod.pod_name),
        ("namespace", pod.namespace),
        ("nodeName", pod.node_name),
        ("createdAt", pod.created_at),
    ];
    let mut is_first = true;
    for (name, value) in members.into_iter().filter(|(_, value)| !value.is_empty()) {
        separate(out, &mut is_first);
        write_name(out, name);
        write_text(out, value);
    }
    if !pod.labels.is_empty() {
        separate(out, &mut is_first);
        write_name(out, "labels");
        write_map(out, &pod.labels);
    }
    out.put_u8(b'}');
}

fn write_map(out: &mut impl BufMut, pairs: &[(&str, &str)]) {
    out.put_u8(b'{');
    let mut is_first = true;
    for (key, value) in pairs {
        separate(out, &mut is_first);
        write_text(out, key);
        out.put_u8(b':');
        write_text(out, value);
    }
    out.put_u8(b'}');
}

fn separate(out: &mut impl BufMut, is_first: &mut bool) {
    if !std::mem::take(is_first) {
        out.put_u8(b',');
    }
}

fn write_name(out: &mut impl BufMut, name: &str) {
    out.put_u8(b'"');
    out.put_slice(name.as_bytes());
    out.put_slice(b"\":");
}

fn member(out: &mut impl BufMut, name: &str, value: &str) {
    out.put_u8(b',');
    write_name(out, name);
    write_text(out, value);
}

fn optional_member(out: &mut impl BufMut, name: &str, value: &str) {
    if !value.is_empty() {
        member(out, name, value);
    }
}

pub(super) fn optional_map(out: &mut impl BufMut, name: &str, pairs: &[(&str, &str)]) {
    if !pairs.is_empty() {
        out.put_u8(b',');
        write_name(out, name);
        write_map(out, pairs);
    }
}

fn or<'a>(value: &'a str, default: &'a str) -> &'a str {
    if value.is_empty() { default } else { value }
}
