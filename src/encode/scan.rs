//! Finds a log line's parts in its protobuf bytes, without copying them.

use std::collections::HashMap;

use super::json::{EntryParts, PodParts};
use super::protobuf::{Malformed, next_field};

/// Which of the contract's two log messages the bytes hold; they differ in their last fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `WorkerLogEntry`: `pod_metadata` is 7, `metadata` 8.
    WorkerLogEntry,
    /// `LogEntry`: `metadata` is 7.
    LogEntry,
}

impl Layout {
    const fn pod_metadata(self) -> Option<u32> {
        match self {
            Self::WorkerLogEntry => Some(7),
            Self::LogEntry => None,
        }
    }

    const fn metadata(self) -> u32 {
        match self {
            Self::WorkerLogEntry => 8,
            Self::LogEntry => 7,
        }
    }
}

/// Scans messages of one layout.
#[derive(Debug, Clone, Copy)]
pub struct Scanner(pub Layout);

impl Scanner {
    /// Finds the parts in `message`. As in prost, fields may stand in any order, unknown ones
    /// are skipped, of a repeated scalar or map key the last wins, and a repeated
    /// `pod_metadata` is merged.
    ///
    /// # Errors
    /// Says what is wrong with the bytes.
    pub fn scan<'a>(&self, message: &'a [u8]) -> Result<EntryParts<'a>, Malformed> {
        let mut parts = EntryParts::default();
        let mut rest = message;
        while let Some(field) = next_field(&mut rest, 0)? {
            match field.number {
                1 => parts.worker_id = field.text()?,
                2 => parts.task_id = field.text()?,
                3 => parts.timestamp = field.text()?,
                4 => parts.level = field.text()?,
                5 => parts.source = field.text()?,
                6 => parts.message = field.text()?,
                number if number == self.0.metadata() => {
                    put(&mut parts.metadata, pair(field.bytes()?, 1)?)
                }
                number if Some(number) == self.0.pod_metadata() => {
                    scan_pod(field.bytes()?, parts.pod.get_or_insert_default())?;
                }
                _ => {}
            }
        }
        drop_repeats(&mut parts.metadata);
        if let Some(pod) = &mut parts.pod {
            drop_repeats(&mut pod.labels);
        }
        Ok(parts)
    }
}

fn scan_pod<'a>(mut rest: &'a [u8], pod: &mut PodParts<'a>) -> Result<(), Malformed> {
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
fn pair(mut rest: &[u8], depth: u32) -> Result<(&str, &str), Malformed> {
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
fn put<'a>(pairs: &mut Vec<(&'a str, &'a str)>, pair: (&'a str, &'a str)) {
    let same = |known: &&mut (&str, &str)| known.0 == pair.0;
    let known = if pairs.len() < FEW_PAIRS { pairs.iter_mut().find(same) } else { None };
    match known {
        Some(known) => known.1 = pair.1,
        None => pairs.push(pair),
    }
}

/// Keeps each key's last value. Linear, so that a producer gains nothing by sending a huge map.
fn drop_repeats(pairs: &mut Vec<(&str, &str)>) {
    if pairs.len() > FEW_PAIRS {
        let last: HashMap<&str, &str> = pairs.iter().copied().collect();
        *pairs = last.into_iter().collect();
        pairs.sort_unstable();
    }
}
