//! The entry that is pushed: what ottoscaler sends, about 275 bytes on the wire.

use otto_handler::proto::ottoscaler::{WorkerLogEntry, WorkerMetadata};
use serde_json::json;

/// Comes before the time of sending in a message.
pub const SENT_AT_PREFIX: &[u8] = b"t=";

/// Digits of the time of sending: nanoseconds since the run began.
pub const SENT_AT_DIGITS: usize = 15;

const CRATES: [&str; 8] = ["serde", "tokio", "hyper", "axum", "bytes", "tracing", "regex", "rand"];
const STEPS: [&str; 5] = ["Compiling", "Checking", "Downloaded", "Running", "Fresh"];

/// Line `number` of worker `worker` of task `task`.
pub fn entry(task: usize, worker: usize, number: usize) -> WorkerLogEntry {
    let worker_id = format!("otto-agent-build-{task:06}-{worker}");
    WorkerLogEntry {
        worker_id: worker_id.clone(),
        task_id: format!("build-{task:06}"),
        timestamp: format!("2026-11-24T07:{:02}:{:02}Z", number / 60 % 60, number % 60),
        level: if number.is_multiple_of(17) { "WARN" } else { "INFO" }.into(),
        source: if number.is_multiple_of(5) { "stderr" } else { "stdout" }.into(),
        message: message(number),
        pod_metadata: Some(WorkerMetadata {
            pod_name: worker_id,
            namespace: "default".into(),
            created_at: "2026-11-24T06:57:29Z".into(),
            ..Default::default()
        }),
        metadata: [("container".to_owned(), "runner".to_owned())].into(),
    }
}

/// Lines that differ as those of a build do: by name, version, path and hash.
fn message(number: usize) -> String {
    let name = CRATES[number / 7 % CRATES.len()];
    let step = STEPS[number / 3 % STEPS.len()];
    let hash = scatter(number as u64);
    let (second, third, fourth) = (scatter(hash), scatter(!hash), scatter(hash ^ 1));
    format!(
        "{step} {name}-{hash:016x} {second:016x}{third:016x}{fourth:016x} in {} ms t={:015}",
        hash % 99_991,
        0
    )
}

/// Bits that look random, so that LZ4 finds no more in a line than in a real one.
fn scatter(number: u64) -> u64 {
    let mixed = (number ^ (number >> 31)).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// The same entry as viewers get it, with an offset and a line.
pub fn json(entry: &WorkerLogEntry) -> String {
    let pod = entry.pod_metadata.clone().unwrap_or_default();
    let members = json!({
        "taskId": entry.task_id, "workerId": entry.worker_id,
        "timestamp": entry.timestamp, "level": entry.level, "source": entry.source,
        "message": entry.message,
        "podMetadata": { "podName": pod.pod_name, "namespace": pod.namespace, "createdAt": pod.created_at },
        "metadata": entry.metadata,
        "receivedAt": "2026-11-24T07:00:00.000Z",
    });
    // Offset and line come first: viewers recognise an event by them.
    members.to_string().replacen('{', "{\"offset\":1000000,\"line\":10000,", 1)
}

/// Writes `nanos` as the digits of a time of sending.
pub fn write_sent_at(digits: &mut [u8], mut nanos: u64) {
    for digit in digits[..SENT_AT_DIGITS].iter_mut().rev() {
        *digit = b'0' + (nanos % 10) as u8;
        nanos /= 10;
    }
}

/// Where in `bytes` the digits of the last time of sending begin.
pub fn sent_at_position(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::rfind(bytes, SENT_AT_PREFIX).map(|at| at + SENT_AT_PREFIX.len())
}

/// Reads the digits of a time of sending.
pub fn read_sent_at(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits.get(..SENT_AT_DIGITS)?).ok()?.parse().ok()
}
