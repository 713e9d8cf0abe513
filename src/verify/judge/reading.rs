//! One reader's way through one task: every line after the one before, or a gap that says why not.

use crate::verify::record::Run;

/// A range of offsets that a reader was told is gone: the first and the last.
pub(super) type GapRange = (u64, u64);

/// Where a reader stands in a task.
#[derive(Debug)]
pub(super) struct Reading {
    next_line: u64,
    last_offset: u64,
    /// Gaps told since the last line.
    gaps: Vec<GapRange>,
    /// Jumps that a gap was told for.
    jumps: Vec<Jump>,
    ended: bool,
}

/// Lines that a reader was not given, and the gaps that it was told instead.
#[derive(Debug, Clone)]
pub(super) struct Jump {
    pub(super) from_line: u64,
    pub(super) end_line: u64,
    pub(super) gaps: Vec<GapRange>,
}

/// What is wrong with a run of lines, by the task's line numbers, the end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Left out, and no gap told.
    Skipped(u64, u64),
    /// Given before.
    Repeated(u64, u64),
    /// The offset does not grow with the line.
    Backwards(u64, u64),
}

impl Default for Reading {
    fn default() -> Self {
        Self { next_line: 1, last_offset: 0, gaps: Vec::new(), jumps: Vec::new(), ended: false }
    }
}

impl Reading {
    /// The reader was given these lines.
    pub(super) fn take(&mut self, run: &Run) -> Option<Flaw> {
        let flaw = self.flaw(run);
        if run.end_line() > self.next_line {
            self.next_line = run.end_line();
            self.last_offset = self.last_offset.max(run.offset + run.count - 1);
            self.gaps.clear();
        }
        flaw
    }

    fn flaw(&mut self, run: &Run) -> Option<Flaw> {
        if run.line < self.next_line {
            return Some(Flaw::Repeated(run.line, run.end_line().min(self.next_line)));
        }
        if run.offset <= self.last_offset {
            return Some(Flaw::Backwards(run.line, run.end_line()));
        }
        if run.line == self.next_line {
            return None;
        }
        let is_told = self
            .gaps
            .iter()
            .any(|(from, to)| from <= to && *to > self.last_offset && *from < run.offset);
        if !is_told {
            return Some(Flaw::Skipped(self.next_line, run.line));
        }
        let gaps = self.gaps.clone();
        self.jumps.push(Jump { from_line: self.next_line, end_line: run.line, gaps });
        None
    }

    pub(super) fn tell(&mut self, gap: GapRange) {
        self.gaps.push(gap);
    }

    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// The jumps, with the one at the end where the reader stopped before `end_line`. A jump
    /// without gaps was not told.
    pub(super) fn jumps_before(&self, end_line: u64) -> Vec<Jump> {
        let mut jumps = self.jumps.clone();
        if self.ended && self.next_line < end_line {
            jumps.push(Jump { from_line: self.next_line, end_line, gaps: self.gaps.clone() });
        }
        jumps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: u64, offset: u64, count: u64) -> Run {
        Run { worker: "w".into(), number: line, line, offset, count }
    }

    #[test]
    fn lines_one_after_the_other_are_in_order() {
        let mut reading = Reading::default();
        assert_eq!(reading.take(&run(1, 5, 3)), None);
        assert_eq!(reading.take(&run(4, 12, 1)), None);
    }

    #[test]
    fn a_hole_a_repeat_and_a_step_back_are_flaws() {
        let mut reading = Reading::default();
        assert_eq!(reading.take(&run(2, 2, 1)), Some(Flaw::Skipped(1, 2)));
        assert_eq!(reading.take(&run(3, 3, 2)), None);
        assert_eq!(reading.take(&run(4, 4, 2)), Some(Flaw::Repeated(4, 5)));
        assert_eq!(reading.take(&run(6, 4, 1)), Some(Flaw::Backwards(6, 7)));
    }

    #[test]
    fn a_gap_explains_the_hole_that_it_stands_in_and_no_later_one() {
        let mut reading = Reading::default();
        reading.take(&run(1, 1, 1));
        reading.tell((2, 9));
        assert_eq!(reading.take(&run(10, 10, 1)), None);
        assert_eq!(reading.take(&run(12, 12, 1)), Some(Flaw::Skipped(11, 12)));
        assert_eq!(reading.jumps_before(13).len(), 1);
        reading.end();
        assert_eq!(reading.jumps_before(15).len(), 2);
    }
}
