//! Finds the parts of a log line's nested messages, without copying them.

use std::collections::HashMap;

use super::protobuf::{Malformed, next_field};

/// Which of the contract's two log messages the bytes hold; they differ in their last fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireLayout {
    /// `WorkerLogEntry`: `pod_metadata` is 7, `metadata` 8.
    WorkerLogEntry,
    /// `LogEntry`: `metadata` is 7.
    LogEntry,
}

impl WireLayout {
    const fn pod_metadata(self) -> Option<u32> {
        match self {
            Self::WorkerLogEntry => Some(7),
            Self::LogEntry => None,
        }
    }

    /// Whether a field of this number is `pod_metadata` or `metadata`.
    pub(super) fn is_nested(self, number: u32) -> bool {
        number == self.metadata() || Some(number) == self.pod_metadata()
    }

    pub(super) const fn metadata(self) -> u32 {
        match self {
            Self::WorkerLogEntry => 8,
            Self::LogEntry => 7,
        }
    }
}

/// Where a worker runs.
#[derive(Debug, Default)]
pub(super) struct PodParts<'a> {
    pub(super) pod_name: &'a str,
    pub(super) namespace: &'a str,
    pub(super) node_name: &'a str,
    pub(super) created_at: &'a str,
    pub(super) labels: Vec<(&'a str, &'a str)>,
}

/// Finds a pod's parts in the message `rest`, and merges them into `pod`.
pub(super) fn scan_pod<'a>(mut rest: &'a [u8], pod: &mut PodParts<'a>) -> Result<(), Malformed> {
    while let Some(field) = next_field(&mut rest, 1)? {
        match field.number {
            1 => pod.pod_name = field.text()?,
            2 => pod.namespace = field.text()?,
            3 => pod.node_name = field.text()?,
            4 => pod.created_at = field.text()?,
            5 => put(&mut pod.labels, pair(field.bytes()?, 2)?),
            _ => {}
        }
    }
    Ok(())
}

/// A map entry: a message with the key in field 1 and the value in field 2.
pub(super) fn pair(mut rest: &[u8], depth: u32) -> Result<(&str, &str), Malformed> {
    let (mut key, mut value) = ("", "");
    while let Some(field) = next_field(&mut rest, depth)? {
        match field.number {
            1 => key = field.text()?,
            2 => value = field.text()?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// Up to this many pairs, a look through all of them at each new one beats a table.
const FEW_PAIRS: usize = 16;

/// Adds a pair; once there are many, repeats stay until [`drop_repeats`].
pub(super) fn put<'a>(pairs: &mut Vec<(&'a str, &'a str)>, pair: (&'a str, &'a str)) {
    let same = |known: &&mut (&str, &str)| known.0 == pair.0;
    let known = if pairs.len() < FEW_PAIRS { pairs.iter_mut().find(same) } else { None };
    match known {
        Some(known) => known.1 = pair.1,
        None => pairs.push(pair),
    }
}

/// Keeps each key's last value. Linear, so that a producer gains nothing by sending a huge map.
pub(super) fn drop_repeats(pairs: &mut Vec<(&str, &str)>) {
    if pairs.len() > FEW_PAIRS {
        let last: HashMap<&str, &str> = pairs.iter().copied().collect();
        *pairs = last.into_iter().collect();
        pairs.sort_unstable();
    }
}
