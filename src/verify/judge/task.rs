//! What is known about one task: which line stands where, and what was kept at the end.

use std::collections::BTreeMap;

use super::ranges::Ranges;
use crate::verify::record::Run;

/// What is known about one task.
#[derive(Debug, Default)]
pub(super) struct Task {
    /// The one order that every reader has to see, by line.
    lines: BTreeMap<u64, Run>,
    /// What the reading at the end found, in its order.
    kept: Vec<Run>,
    /// Offsets that it was told are gone for a reason that explains a loss.
    excused: Vec<(u64, u64)>,
    read_to_end: bool,
}

impl Task {
    /// Takes in what a reader saw; a text where another reader saw something else there.
    pub(super) fn place(&mut self, run: &Run) -> Option<String> {
        let (mut done, mut contradiction) = (0, None);
        while done < run.count {
            let line = run.line + done;
            let known = self.lines.range(..=line).next_back().map(|(_, known)| known);
            let known = known.filter(|known| known.end_line() > line);
            if let Some(known) = known {
                let seen_before = known.part(line - known.line, run.count - done);
                let seen_now = run.part(done, seen_before.count);
                if seen_before != seen_now {
                    contradiction.get_or_insert_with(|| contradict(&seen_before, &seen_now));
                }
                done += seen_before.count;
            } else {
                let next = self.lines.range(line..).next().map_or(u64::MAX, |(next, _)| *next);
                let part = run.part(done, next - line);
                done += part.count;
                self.add(part);
            }
        }
        contradiction
    }

    fn add(&mut self, part: Run) {
        let before = self.lines.range_mut(..part.line).next_back();
        let left = match before {
            Some((_, before)) => before.extend(part).err(),
            None => Some(part),
        };
        if let Some(part) = left {
            self.lines.insert(part.line, part);
        }
    }

    /// The reading at the end begins, perhaps once more.
    pub(super) fn begin_reading(&mut self) {
        self.kept.clear();
        self.excused.clear();
        self.read_to_end = false;
    }

    pub(super) fn keep(&mut self, run: &Run) {
        let left = match self.kept.last_mut() {
            Some(last) => last.extend(run.clone()).err(),
            None => Some(run.clone()),
        };
        self.kept.extend(left);
    }

    pub(super) fn excuse(&mut self, from: u64, to: u64) {
        self.excused.push((from, to));
    }

    pub(super) fn end(&mut self) {
        self.read_to_end = true;
    }

    pub(super) fn is_read_to_end(&self) -> bool {
        self.read_to_end
    }

    pub(super) fn end_line(&self) -> u64 {
        self.lines.last_key_value().map_or(1, |(_, last)| last.end_line())
    }

    /// The known lines of a range, run by run.
    pub(super) fn known(&self, from_line: u64, end_line: u64) -> Vec<Run> {
        let start = self.lines.range(..=from_line).next_back().map_or(from_line, |(line, _)| *line);
        let mut found = Vec::new();
        for run in self.lines.range(start..end_line.max(start)).map(|(_, run)| run) {
            let skipped = from_line.saturating_sub(run.line);
            if skipped < run.count {
                let start = run.line + skipped;
                found.push(run.part(skipped, end_line - start));
            }
        }
        found
    }

    /// Everything that anybody saw, in the task's order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Run> {
        self.lines.values()
    }

    /// The numbers of a worker that the reading at the end found.
    pub(super) fn kept_of(&self, worker: &str) -> KeptLines {
        let mut kept = KeptLines { numbers: Ranges::default(), runs: Vec::new() };
        for run in self.kept.iter().filter(|run| run.worker == worker) {
            kept.numbers.insert(run.number, run.number + run.count);
            kept.runs.push(run.clone());
        }
        kept.runs.sort_by_key(|run| run.number);
        kept
    }

    /// Whether a gap that was told lies where a missing number would have stood.
    pub(super) fn is_excused(&self, kept: &KeptLines, number: u64) -> bool {
        let next = kept.runs.partition_point(|run| run.number <= number);
        let before =
            next.checked_sub(1).map_or(0, |at| kept.runs[at].offset + kept.runs[at].count - 1);
        let after = kept.runs.get(next).map_or(u64::MAX, |run| run.offset);
        self.excused.iter().any(|(from, to)| *from < after && *to > before)
    }
}

/// What was kept of one worker.
pub(super) struct KeptLines {
    pub(super) numbers: Ranges,
    /// By number.
    runs: Vec<Run>,
}

fn contradict(before: &Run, now: &Run) -> String {
    let say = |run: &Run| format!("{} {} at offset {}", run.worker, run.number, run.offset);
    format!("line {} is {} for one reader and {} for another", now.line, say(before), say(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(worker: &str, number: u64, line: u64, count: u64) -> Run {
        Run { worker: worker.into(), number, line, offset: 100 + line, count }
    }

    #[test]
    fn readers_who_see_the_same_in_other_pieces_do_not_contradict_each_other() {
        let mut task = Task::default();
        assert_eq!(task.place(&run("a", 3, 3, 2)), None);
        assert_eq!(task.place(&run("a", 1, 1, 9)), None);
        assert_eq!(task.place(&run("a", 5, 5, 7)), None);
        assert_eq!(task.end_line(), 12);
        let known: u64 = task.known(2, 8).iter().map(|run| run.count).sum();
        assert_eq!((known, task.known(2, 8)[0].number), (6, 2));
    }

    #[test]
    fn another_line_in_the_same_place_is_a_contradiction() {
        let mut task = Task::default();
        task.place(&run("a", 1, 1, 3));
        let found = task.place(&run("b", 1, 3, 2)).unwrap();
        assert_eq!(
            found,
            "line 3 is a 3 at offset 103 for one reader and b 1 at offset 103 for another"
        );
    }

    #[test]
    fn a_gap_excuses_only_numbers_that_would_have_stood_in_it() {
        let mut task = Task::default();
        task.keep(&run("a", 1, 1, 3));
        task.keep(&run("a", 6, 6, 3));
        task.excuse(104, 105);
        let kept = task.kept_of("a");
        assert!(task.is_excused(&kept, 4));
        assert!(!task.is_excused(&kept, 9));
    }
}
