//! What is found in the end.

use serde::Serialize;

/// So many violations are told in words; all are counted.
const MAX_TOLD: usize = 100;

/// The outcome of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// The run's seed.
    pub seed: u64,
    /// Every worker, by task and name.
    pub workers: Vec<WorkerVerdict>,
    /// How many readers there were.
    pub readers: u64,
    /// How many faults were injected.
    pub faults: u64,
    /// Violations in words, the first hundred.
    pub violations: Vec<String>,
    /// How many there are.
    pub violation_count: u64,
    /// Tasks that could not be read to their end, so nothing can be said of them.
    pub unread: Vec<String>,
}

/// What became of one worker's lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerVerdict {
    /// Its task.
    pub task: String,
    /// Its name.
    pub worker: String,
    /// Lines that it sent.
    pub sent: u64,
    /// Lines that were acknowledged.
    pub acked: u64,
    /// Lines that are there in the end.
    pub kept: u64,
    /// Lines that are gone and that a gap explains.
    pub told: u64,
    /// Lines that were acknowledged or seen, and that are gone; valid lines that were refused.
    pub lost: u64,
    /// Lines that are there more than once, or that a reader was given again.
    pub repeated: u64,
    /// Lines that stand behind a later one.
    pub reordered: u64,
    /// Lines that a reader was not given, without a gap that covers them; lines that nobody sent.
    pub unexplained: u64,
}

impl WorkerVerdict {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.lost + self.repeated + self.reordered + self.unexplained == 0
    }
}

/// How a run ends, for an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Nothing is wrong.
    Sound,
    /// The log could not be read in the end, so nothing is known.
    Unknown,
    /// Something is.
    Violated,
}

impl Verdict {
    /// The outcome.
    pub fn outcome(&self) -> Outcome {
        match (self.violation_count, self.unread.is_empty()) {
            (0, true) => Outcome::Sound,
            (0, false) => Outcome::Unknown,
            _ => Outcome::Violated,
        }
    }

    /// Notes a violation.
    pub(super) fn violate(&mut self, what: impl FnOnce() -> String) {
        self.violation_count += 1;
        if self.violations.len() < MAX_TOLD {
            self.violations.push(what());
        }
    }
}
