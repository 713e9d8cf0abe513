//! What a task has lost to the limit on its bytes: its middle.
//!
//! # Layout
//! `postcard` of [(task, [`Trim`])]. It is the payload of a control chunk whose flag says so, in a commit
//! of its own, and stands in a segment's footer behind the tombstones. A later trim of a task replaces
//! the earlier one, which it contains.

use serde::{Deserialize, Serialize};

use crate::domain::{Gap, LineNumber, Offset};

/// The middle of a task that the limit on its bytes has taken: from its first to its last chunk, whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct Trim {
    /// The first entry that is taken.
    pub(in crate::store) from: Offset,
    /// The first one that is kept again.
    pub(in crate::store) end: Offset,
    pub(in crate::store) first_line: LineNumber,
    /// The line number after the last line that is taken.
    pub(in crate::store) end_line: LineNumber,
    /// Bytes of all entries that are taken.
    pub(in crate::store) bytes: u64,
}

impl Trim {
    /// Whether it has taken the entry of its task at `offset`.
    pub(in crate::store) fn hides(&self, offset: Offset) -> bool {
        (self.from..self.end).contains(&offset)
    }

    /// Whether it has taken `line` of its task.
    pub(in crate::store) fn hides_line(&self, line: LineNumber) -> bool {
        (self.first_line..self.end_line).contains(&line)
    }

    /// How many lines it has taken of a task whose first kept segment begins with line `first`.
    pub(in crate::store) fn lines_from(&self, first: LineNumber) -> u64 {
        self.end_line.0.saturating_sub(first.max(self.first_line).0)
    }

    /// What a reader of the task at `next` misses.
    pub(in crate::store) fn gap(&self, next: Offset) -> Gap {
        let lines = (next <= self.from).then(|| self.end_line.0 - self.first_line.0);
        let (from, to) = (next.max(self.from), Offset(self.end.0 - 1));
        Gap { from, to, lines, reason: Gap::TASK_LIMIT }
    }
}

/// A trim with the task that it is of.
pub(in crate::store) type TaskTrim<'a> = (&'a str, Trim);

/// The payload of a control chunk that has `trims`.
pub(in crate::store) fn encode_trims(trims: &[TaskTrim<'_>]) -> Vec<u8> {
    postcard::to_stdvec(trims).expect("texts and numbers always encode into memory")
}

/// Reads what [`encode_trims`] wrote; `None` where it is damaged.
pub(in crate::store) fn decode_trims(bytes: &[u8]) -> Option<Vec<TaskTrim<'_>>> {
    postcard::from_bytes(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIM: Trim = Trim {
        from: Offset(10),
        end: Offset(20),
        first_line: LineNumber(5),
        end_line: LineNumber(12),
        bytes: 700,
    };

    #[test]
    fn a_trim_comes_back_as_it_was_written() {
        let trims = [("a", TRIM), ("b", Trim { from: Offset(1), ..TRIM })];
        assert_eq!(decode_trims(&encode_trims(&trims)).unwrap(), trims);
        assert_eq!(decode_trims(b"\x05"), None);
    }

    #[test]
    fn a_trim_tells_how_many_lines_are_gone_to_whoever_comes_from_before_it() {
        let gap = |next| TRIM.gap(Offset(next));
        let told =
            |from, lines| Gap { from: Offset(from), to: Offset(19), lines, reason: "task_limit" };
        assert_eq!(gap(7), told(10, Some(7)));
        assert_eq!(gap(10), told(10, Some(7)));
        assert_eq!(gap(11), told(11, None));
        assert_eq!([1, 8, 30].map(|first| TRIM.lines_from(LineNumber(first))), [7, 4, 0]);
    }
}
