//! How much a task has kept, and where it may be cut: for the limit on its bytes.
//!
//! Of a task over the limit at least the first quarter stays, and the newest half. What is between goes in
//! steps of an eighth or more, so there is a mark at about each eighth.

use std::collections::VecDeque;

use crate::domain::{Block, LineNumber, Offset};
use crate::store::format::Trim;

/// So many marks are set in the limit.
const MARKS_PER_LIMIT: u64 = 8;

/// Where a task may be cut: before a chunk.
#[derive(Debug, Clone, Copy)]
struct Mark {
    offset: Offset,
    line: LineNumber,
    /// Bytes of what the task has before it, counted from the first mark that was ever set.
    bytes: u64,
}

/// The marks of one task. The first stands where its kept entries begin; of a trimmed task, where they
/// begin again.
#[derive(Debug, Default)]
pub(super) struct Marks {
    marks: VecDeque<Mark>,
    /// Bytes of all that was counted.
    bytes: u64,
}

impl Marks {
    /// Counts entries that begin with `offset` and line `line`, and sets a mark where the last one is far
    /// enough back; returns the bytes of memory it added.
    pub(super) fn add(
        &mut self,
        limit: u64,
        offset: Offset,
        line: LineNumber,
        bytes: u64,
    ) -> usize {
        let step = limit / MARKS_PER_LIMIT;
        let is_far = |last: &Mark| self.bytes - last.bytes >= step;
        let is_due = self.marks.back().is_none_or(is_far);
        if is_due {
            self.marks.push_back(Mark { offset, line, bytes: self.bytes });
        }
        self.bytes += bytes;
        usize::from(is_due) * size_of::<Mark>()
    }

    /// The same for a committed chunk.
    pub(super) fn add_block(&mut self, limit: u64, block: &Block) -> usize {
        self.add(limit, block.base, LineNumber(block.base_line), block.payload.len() as u64)
    }

    /// Where the beginning that stays ends, and how many bytes it counts for; `None` before it is whole.
    fn head_end(&self, limit: u64, known: Option<Trim>) -> Option<Mark> {
        let first = *self.marks.front()?;
        if known.is_some() {
            return Some(first);
        }
        self.marks.iter().find(|mark| mark.bytes - first.bytes >= limit / 4).copied()
    }

    /// What is to go of the task, of which `known` is gone, to keep it within `limit` bytes.
    pub(super) fn due(&self, limit: u64, known: Option<Trim>) -> Option<Trim> {
        let head = self.head_end(limit, known)?;
        let is_within = match known {
            // The beginning may be longer than a quarter by the distance of two marks.
            Some(_) => self.bytes - head.bytes <= limit / 2 + limit / MARKS_PER_LIMIT,
            None => self.bytes - self.marks.front()?.bytes <= limit,
        };
        if is_within {
            return None;
        }
        let is_half = |mark: &&Mark| self.bytes - mark.bytes >= limit / 2;
        let end = self.marks.iter().rev().find(is_half).filter(|end| end.offset > head.offset)?;
        let (from, first_line, gone) = match known {
            Some(known) => (known.from, known.first_line, known.bytes),
            None => (head.offset, head.line, 0),
        };
        let bytes = gone + (end.bytes - head.bytes);
        Some(Trim { from, end: end.offset, first_line, end_line: end.line, bytes })
    }

    /// Forgets the marks of what has gone, and sets one where the task begins again; returns the bytes of
    /// memory it freed.
    pub(super) fn forget(&mut self, trim: &Trim) -> usize {
        let gone = self.marks.partition_point(|mark| mark.offset < trim.end);
        let before = self.marks.drain(..gone).next_back();
        let next = self.marks.front().copied();
        let Some(before) = before.filter(|_| next.is_none_or(|next| next.offset > trim.end)) else {
            return gone * size_of::<Mark>();
        };
        // An earlier process had other marks: about what stands between, by its lines.
        let bytes = next.map_or(before.bytes, |next| {
            let lines = |from: Mark| next.line.0.saturating_sub(from.line.0);
            let left = next.line.0.saturating_sub(trim.end_line.0).min(lines(before));
            next.bytes - (next.bytes - before.bytes) * left / lines(before).max(1)
        });
        self.marks.push_front(Mark { offset: trim.end, line: trim.end_line, bytes });
        (gone - 1) * size_of::<Mark>()
    }

    /// What they take, in bytes.
    pub(super) fn cost(&self) -> usize {
        self.marks.len() * size_of::<Mark>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 8000;

    /// Adds chunks of 100 bytes and ten lines each, with the numbers in `chunks`.
    fn add(marks: &mut Marks, chunks: std::ops::Range<u64>) {
        for n in chunks {
            marks.add(LIMIT, Offset(1 + 10 * n), LineNumber(1 + 10 * n), 100);
        }
    }

    #[test]
    fn a_task_within_its_limit_loses_nothing() {
        let mut marks = Marks::default();
        assert_eq!(marks.due(LIMIT, None), None);
        add(&mut marks, 0..80);
        assert_eq!(marks.due(LIMIT, None), None);
    }

    #[test]
    fn a_quarter_at_the_beginning_and_the_newest_half_stay_however_long_it_goes_on() {
        let mut marks = Marks::default();
        let mut known: Option<Trim> = None;
        for n in 0..1000 {
            add(&mut marks, n..n + 1);
            if let Some(trim) = marks.due(LIMIT, known) {
                assert_eq!((trim.from, trim.first_line), (Offset(201), LineNumber(201)));
                let lines = trim.end_line.0 - trim.first_line.0;
                assert_eq!(trim.bytes, 10 * lines);
                assert!(known.is_none_or(|known| known.end < trim.end));
                let kept = 100 * (n + 1) - trim.bytes;
                assert!((6000..=7100).contains(&kept), "{kept} bytes are kept");
                marks.forget(&trim);
                known = Some(trim);
            }
            let kept = 100 * (n + 1) - known.map_or(0, |known| known.bytes);
            assert!(kept <= LIMIT, "{kept} bytes are kept");
        }
        assert!(known.is_some_and(|known| known.bytes > 90_000), "{known:?}");
        assert!(marks.cost() <= 9 * size_of::<Mark>());
    }

    #[test]
    fn after_a_trim_between_two_marks_the_rest_counts_by_its_lines() {
        let mut marks = Marks::default();
        add(&mut marks, 0..50);
        let (end, end_line) = (Offset(351), LineNumber(351));
        let trim =
            Trim { from: Offset(201), end, first_line: LineNumber(201), end_line, bytes: 1500 };
        marks.forget(&trim);
        let first = marks.marks[0];
        assert_eq!((first.offset, first.line, first.bytes), (end, end_line, 3500));
        add(&mut marks, 50..90);
        let next = marks.due(LIMIT, Some(trim)).unwrap();
        assert_eq!((next.end, next.bytes), (Offset(501), 3000));
    }
}
