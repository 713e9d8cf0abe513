//! Lines that are missing in a range, as downloads and pages tell them.

use serde::{Deserialize, Serialize};

use crate::domain::{Entry, Gap, describe_gap};
use crate::encode::write_json;

/// Lines that are missing between two lines of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MissingLines {
    /// The number of the line before them; 0 where they are the first.
    pub(super) after_line: u64,
    /// The first missing offset.
    from: u64,
    /// The last missing offset.
    to: u64,
    /// How many, where it is known.
    pub(super) lines: Option<u64>,
    /// Why.
    reason: String,
    /// Whose, where the log has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker_id: Option<String>,
}

/// A gap that the log has as an entry.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct GapEntry {
    from: u64,
    to: u64,
    lines: Option<u64>,
    reason: String,
    worker_id: Option<String>,
}

impl MissingLines {
    /// What the entry `gap` tells, which stands behind the line `after_line`. Such lines have no
    /// numbers: they were refused before they got them.
    pub(super) fn refused(gap: &Entry<'_>, after_line: u64) -> Self {
        let mut json = Vec::new();
        write_json(&mut json, gap);
        // Bodies are made by this crate and checked by CRC.
        let gap = serde_json::from_slice(&json).unwrap_or_default();
        let GapEntry { from, to, lines, reason, worker_id } = gap;
        Self { after_line, from, to, lines, reason, worker_id }
    }

    /// `lines` lines behind the line `after_line` that were kept once.
    pub(super) fn lost(gap: Gap, lines: Option<u64>, after_line: u64) -> Self {
        let Gap { from, to, reason, .. } = gap;
        let reason = reason.to_owned();
        Self { after_line, from: from.0, to: to.0, lines, reason, worker_id: None }
    }

    /// Whether `other` says the same of the same place.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.after_line == other.after_line && self.reason == other.reason
    }

    /// Takes in `other`, which comes later at the same place.
    pub(super) fn take_in(&mut self, other: &Self) {
        self.to = self.to.max(other.to);
        self.lines = self.lines.zip(other.lines).map(|(some, more)| some + more);
        if self.worker_id != other.worker_id {
            self.worker_id = None;
        }
    }

    /// A line of text that no program takes for one of the log's.
    pub(super) fn write_text(&self, out: &mut Vec<u8>) {
        let text = describe_gap(self.lines, &self.reason);
        out.extend_from_slice(format!("--- {text} ---\n").as_bytes());
    }

    /// One line of NDJSON; lines of the log have no member `event`.
    pub(super) fn write_ndjson(&self, out: &mut Vec<u8>) {
        let json = serde_json::to_vec(self).expect("a struct of texts and numbers is JSON");
        out.extend_from_slice(b"{\"event\":\"gap\",");
        out.extend_from_slice(&json[1..]);
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Offset;

    fn missing(after_line: u64, lines: Option<u64>) -> MissingLines {
        let gap = Gap { from: Offset(5), to: Offset(7), lines, reason: "retention" };
        MissingLines::lost(gap, lines, after_line)
    }

    #[test]
    fn what_is_missing_at_one_place_for_one_reason_is_told_once() {
        let mut gap = missing(3, Some(2));
        assert!(gap.is_like(&missing(3, None)) && !gap.is_like(&missing(4, Some(2))));
        gap.take_in(&missing(3, Some(4)));
        assert_eq!(gap.lines, Some(6));
        gap.take_in(&missing(3, None));
        assert_eq!(gap.lines, None, "a number and an unknown one are unknown together");
    }

    #[test]
    fn a_gap_is_written_as_text_and_as_json() {
        let mut text = Vec::new();
        missing(3, Some(1)).write_text(&mut text);
        missing(3, None).write_text(&mut text);
        let expected = "--- 1 line is missing here: retention ---\n\
             --- an unknown number of lines is missing here: retention ---\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
        let mut ndjson = Vec::new();
        missing(3, Some(2)).write_ndjson(&mut ndjson);
        let expected = "{\"event\":\"gap\",\"afterLine\":3,\"from\":5,\"to\":7,\"lines\":2,\
             \"reason\":\"retention\"}\n";
        assert_eq!(String::from_utf8(ndjson).unwrap(), expected);
    }
}
