//! What the actors record: one JSON object a line in the history file.

use serde::{Deserialize, Serialize};

/// The actor whose reading, made at the end, is what the log is held to have kept.
pub const HISTORY: &str = "history";

/// One line of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Milliseconds since the run began.
    pub time: u64,
    /// Who records it, such as `producer-1`, `viewer-3` or `faults`.
    pub actor: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first line: what the verdict has to know of the plan.
    Plan {
        /// The seed of texts and faults.
        seed: u64,
        /// Reasons of gaps that explain why an acknowledged line is gone.
        excuses: Vec<String>,
    },
    /// A producer sent these lines for the first time.
    Sent(Lines),
    /// The server acknowledged these lines.
    Acked(Lines),
    /// The server refused a line, although nothing is wrong with it.
    Dropped {
        /// The line.
        #[serde(flatten)]
        lines: Lines,
        /// The server's words.
        message: String,
    },
    /// A reader begins a stream.
    Opened {
        /// Of this task; of all when there is none.
        task: Option<String>,
        /// Where it begins.
        at: Start,
    },
    /// A reader was given these lines, in this order.
    Saw {
        /// The task.
        task: String,
        /// The lines.
        runs: Vec<Run>,
    },
    /// A reader was told that entries are gone.
    Gap {
        /// The task; of the whole stream when there is none.
        task: Option<String>,
        /// The first missing offset.
        from: u64,
        /// The last missing offset.
        to: u64,
        /// Why.
        reason: String,
    },
    /// A reader was given a line that nobody sent.
    Foreign {
        /// The task.
        task: String,
        /// The worker that it is said to come from.
        worker: String,
        /// Its line number.
        line: u64,
        /// How it begins.
        text: String,
    },
    /// A reader has read the task to its end, after every producer had ended.
    Ended {
        /// The task.
        task: String,
    },
    /// A fault is injected.
    Fault {
        /// Which one.
        what: String,
    },
    /// An actor found a violation by itself, such as a server that does not come back.
    Violated {
        /// What.
        what: String,
    },
    /// Something that explains the rest to a person and changes no verdict.
    Note {
        /// What.
        what: String,
    },
}

/// Lines of one worker, by their numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    /// The task.
    pub task: String,
    /// The worker.
    pub worker: String,
    /// The first number.
    pub from: u64,
    /// The last number.
    pub to: u64,
}

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// At the first line.
    First,
    /// After the last event that this actor saw.
    Resume,
}

/// Consecutive lines of one worker that stand together in the log: number, line and offset all
/// grow by one. In JSON an array: worker, number, line, offset, count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub struct Run {
    /// The worker.
    pub worker: String,
    /// The worker's number of the first.
    pub number: u64,
    /// The task's line number of the first.
    pub line: u64,
    /// The store's offset of the first.
    pub offset: u64,
    /// How many they are.
    pub count: u64,
}

type Row = (String, u64, u64, u64, u64);

impl From<Row> for Run {
    fn from((worker, number, line, offset, count): Row) -> Self {
        Self { worker, number, line, offset, count }
    }
}

impl From<Run> for Row {
    fn from(run: Run) -> Self {
        (run.worker, run.number, run.line, run.offset, run.count)
    }
}

impl Run {
    /// Takes the line in if it follows; else gives it back.
    pub fn extend(&mut self, next: Self) -> Result<(), Self> {
        let follows = next.worker == self.worker
            && next.number == self.number + self.count
            && next.line == self.line + self.count
            && next.offset == self.offset + self.count;
        if !follows {
            return Err(next);
        }
        self.count += next.count;
        Ok(())
    }

    /// The line after the last.
    pub fn end_line(&self) -> u64 {
        self.line + self.count
    }

    /// The same without the first `skipped` lines, and `count` of the rest at most.
    pub fn part(&self, skipped: u64, count: u64) -> Self {
        Self {
            worker: self.worker.clone(),
            number: self.number + skipped,
            line: self.line + skipped,
            offset: self.offset + skipped,
            count: count.min(self.count - skipped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_flat_json_object() {
        let run = Run { worker: "w".into(), number: 1, line: 2, offset: 3, count: 4 };
        let event = Event::Saw { task: "t".into(), runs: vec![run] };
        let record = Record { time: 5, actor: "viewer-1".into(), event };
        let json = serde_json::to_string(&record).unwrap();
        let expected =
            r#"{"time":5,"actor":"viewer-1","event":"saw","task":"t","runs":[["w",1,2,3,4]]}"#;
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), record);
    }

    #[test]
    fn a_run_takes_in_only_what_follows_it_everywhere() {
        let one = |number, line, offset| Run { worker: "w".into(), number, line, offset, count: 1 };
        let mut run = one(1, 1, 10);
        assert_eq!(run.extend(one(2, 2, 11)), Ok(()));
        assert!(run.extend(one(3, 3, 13)).is_err());
        assert!(run.extend(one(4, 3, 12)).is_err());
        assert_eq!(run.count, 2);
    }
}
