//! From the history to the verdict: a fold over records, the same live and when a file is replayed.
//!
//! What it holds the server to:
//! - A line that was acknowledged, or that any reader saw, is found by the reading at the end, or a
//!   gap stands where it would be, with a reason that the plan allows.
//! - A worker's lines are there once, in the order in which they were sent.
//! - Every reader sees one and the same order; it goes on where it stopped, leaves no line out
//!   without a gap that covers it, and gets to the end.
//!
//! Memory grows with the stretches of the log, not with readers.

mod ranges;
mod reading;
mod task;
mod verdict;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ranges::Ranges;
use reading::{Flaw, Reading};
use task::Task;
pub use verdict::{Outcome, Verdict, WorkerVerdict};

use super::record::{Event, HISTORY, Lines, Record, Run, Start};

/// The reason of a gap that only the fault of this name explains.
const DAMAGE: &str = "damage";

/// A worker, by its task and name.
type WorkerKey = (String, String);

#[derive(Debug, Default)]
struct Worker {
    sent: Ranges,
    acked: Ranges,
    lost: u64,
    repeated: u64,
    reordered: u64,
    unexplained: u64,
}

/// Takes the history in, record by record, and says at the end what it found.
#[derive(Debug, Default)]
pub struct Judge {
    excuses: Vec<String>,
    workers: BTreeMap<WorkerKey, Worker>,
    tasks: BTreeMap<String, Task>,
    readings: HashMap<(String, String), Reading>,
    readers: BTreeSet<String>,
    /// What was found so far, and what is counted.
    found: Verdict,
}

impl Judge {
    /// Takes one record.
    pub fn take(&mut self, record: &Record) {
        let actor = record.actor.as_str();
        match &record.event {
            Event::Plan { seed, excuses } => {
                self.found.seed = *seed;
                self.excuses.clone_from(excuses);
            }
            Event::Sent(lines) => drop(self.worker(lines).sent.insert(lines.from, lines.to + 1)),
            Event::Acked(lines) => drop(self.worker(lines).acked.insert(lines.from, lines.to + 1)),
            Event::Dropped { lines, message } => self.on_dropped(lines, message),
            Event::Opened { task, at } => self.on_opened(actor, task.as_deref(), *at),
            Event::Saw { task, runs } => runs.iter().for_each(|run| self.on_saw(actor, task, run)),
            Event::Gap { task, from, to, reason } => {
                self.on_gap(actor, task.as_deref(), (*from, *to), reason);
            }
            Event::Foreign { task, worker, line, text } => {
                self.worker_of(task, worker).unexplained += 1;
                let say = || format!("{actor}: line {line} of {task} is nobody's: {text:?}");
                self.found.violate(say);
            }
            Event::Ended { task } => self.on_ended(actor, task),
            Event::Fault { .. } => self.found.faults += 1,
            Event::Violated { what } => self.found.violate(|| format!("{actor}: {what}")),
            Event::Note { .. } => {}
        }
    }

    fn worker(&mut self, lines: &Lines) -> &mut Worker {
        self.worker_of(&lines.task, &lines.worker)
    }

    fn worker_of(&mut self, task: &str, worker: &str) -> &mut Worker {
        self.workers.entry((task.to_owned(), worker.to_owned())).or_default()
    }

    fn on_dropped(&mut self, lines: &Lines, message: &str) {
        self.worker(lines).lost += 1;
        let Lines { task, worker, from, .. } = lines;
        self.found.violate(|| format!("{task} {worker} {from} was refused: {message}"));
    }

    fn on_opened(&mut self, actor: &str, task: Option<&str>, at: Start) {
        self.readers.insert(actor.to_owned());
        if at == Start::First {
            let is_begun =
                |key: &(String, String)| key.0 == actor && task.is_none_or(|task| key.1 == task);
            self.readings.retain(|key, _| !is_begun(key));
        }
        if let Some(task) = task {
            let state = self.tasks.entry(task.to_owned()).or_default();
            if actor == HISTORY {
                state.begin_reading();
            }
            self.reading(actor, task);
        }
    }

    fn reading(&mut self, actor: &str, task: &str) -> &mut Reading {
        self.readings.entry((actor.to_owned(), task.to_owned())).or_default()
    }

    fn on_saw(&mut self, actor: &str, task: &str, run: &Run) {
        let flaw = self.reading(actor, task).take(run);
        let state = self.tasks.entry(task.to_owned()).or_default();
        let contradiction = state.place(run);
        if actor == HISTORY {
            state.keep(run);
        }
        if let Some(contradiction) = contradiction {
            self.worker_of(task, &run.worker).unexplained += 1;
            self.found.violate(|| format!("{actor}: {task}: {contradiction}"));
        }
        match flaw {
            // GapRange at the end: whose lines they are may be known only then.
            Some(Flaw::Skipped(from, end)) => self.on_skipped(actor, task, from, end),
            Some(Flaw::Repeated(from, end)) => {
                self.worker_of(task, &run.worker).repeated += end - from;
                let say = || format!("{actor}: lines {from} to {} of {task} came again", end - 1);
                self.found.violate(say);
            }
            Some(Flaw::Backwards(from, end)) => {
                self.worker_of(task, &run.worker).reordered += end - from;
                let say = || {
                    format!(
                        "{actor}: line {from} of {task} has an earlier offset than the line before"
                    )
                };
                self.found.violate(say);
            }
            None => {}
        }
    }

    fn on_skipped(&mut self, actor: &str, task: &str, from: u64, end: u64) {
        let known = self.tasks.get(task).map(|state| state.known(from, end)).unwrap_or_default();
        let last_before = known.last().map(|run| run.worker.clone());
        for run in &known {
            self.worker_of(task, &run.worker).unexplained += run.count;
        }
        let unknown = (end - from) - known.iter().map(|run| run.count).sum::<u64>();
        if let Some(worker) = last_before.filter(|_| unknown > 0) {
            self.worker_of(task, &worker).unexplained += unknown;
        }
        let say =
            || format!("{actor}: lines {from} to {} of {task} are missing without a gap", end - 1);
        self.found.violate(say);
    }

    fn on_gap(&mut self, actor: &str, task: Option<&str>, told: (u64, u64), reason: &str) {
        for (key, reading) in &mut self.readings {
            if key.0 == actor && task.is_none_or(|task| key.1 == task) {
                reading.tell(told);
            }
        }
        let is_excuse = self.excuses.iter().any(|excuse| excuse == reason);
        if reason == DAMAGE && !is_excuse {
            let (from, to) = told;
            let say =
                || format!("{actor}: {from} to {to} are told as damaged, by no fault of ours");
            self.found.violate(say);
        }
        if let Some(task) = task.filter(|_| actor == HISTORY && is_excuse) {
            self.tasks.entry(task.to_owned()).or_default().excuse(told.0, told.1);
        }
    }

    fn on_ended(&mut self, actor: &str, task: &str) {
        self.reading(actor, task).end();
        if actor == HISTORY {
            self.tasks.entry(task.to_owned()).or_default().end();
        }
    }

    /// The verdict.
    pub fn finish(mut self) -> Verdict {
        self.judge_readings();
        self.judge_order();
        let workers = std::mem::take(&mut self.workers);
        for ((task, worker), state) in workers {
            let verdict = self.judge_worker(task, worker, &state);
            self.found.workers.push(verdict);
        }
        self.found.readers = self.readers.len() as u64;
        let unread = self.tasks.iter().filter(|(_, task)| !task.is_read_to_end());
        self.found.unread = unread.map(|(task, _)| task.clone()).collect();
        self.found
    }

    /// Lines that a reader was not given although the gap it was told does not reach them, and
    /// those that stand after the place where it said it was at the end.
    fn judge_readings(&mut self) {
        let readings = std::mem::take(&mut self.readings);
        for ((actor, task), reading) in &readings {
            let end_line = self.tasks.get(task).map_or(1, Task::end_line);
            for jump in reading.jumps_before(end_line) {
                for run in self
                    .tasks
                    .get(task)
                    .map(|t| t.known(jump.from_line, jump.end_line))
                    .unwrap_or_default()
                {
                    self.judge_jumped(actor, task, &run, &jump.gaps);
                }
            }
        }
    }

    fn judge_jumped(&mut self, actor: &str, task: &str, run: &Run, gaps: &[(u64, u64)]) {
        let is_told = |offset: u64| gaps.iter().any(|(from, to)| (*from..=*to).contains(&offset));
        let missing =
            (run.offset..run.offset + run.count).filter(|offset| !is_told(*offset)).count();
        if missing > 0 {
            self.worker_of(task, &run.worker).unexplained += missing as u64;
            let Run { line, worker, number, .. } = run;
            let say = || {
                format!(
                    "{actor}: {missing} lines of {task} from line {line} ({worker} {number}) on are missing without a gap"
                )
            };
            self.found.violate(say);
        }
    }

    /// Whether each worker's lines stand once and in order in what anybody saw.
    fn judge_order(&mut self) {
        for (name, task) in &self.tasks {
            let mut seen: HashMap<&str, Ranges> = HashMap::new();
            for run in task.all() {
                let numbers = seen.entry(&run.worker).or_default();
                let last = numbers.iter().last().map_or(0, |(_, end)| end);
                let repeated = numbers.insert(run.number, run.number + run.count);
                let early = last.saturating_sub(run.number).min(run.count) - repeated;
                if repeated + early == 0 {
                    continue;
                }
                let key = (name.clone(), run.worker.clone());
                let worker = self.workers.entry(key).or_default();
                worker.repeated += repeated;
                worker.reordered += early;
                let Run { worker, number, line, .. } = run;
                let what =
                    if repeated > 0 { "stands there twice" } else { "stands behind a later one" };
                self.found.violate(|| format!("{name}: {worker} {number} {what}, at line {line}"));
            }
        }
    }

    fn judge_worker(&mut self, task: String, worker: String, state: &Worker) -> WorkerVerdict {
        let mut verdict = WorkerVerdict {
            sent: state.sent.len(),
            acked: state.acked.len(),
            lost: state.lost,
            repeated: state.repeated,
            reordered: state.reordered,
            unexplained: state.unexplained,
            task,
            worker,
            ..WorkerVerdict::default()
        };
        let Some(found) = self.tasks.get(&verdict.task).filter(|task| task.is_read_to_end()) else {
            return verdict;
        };
        let kept = found.kept_of(&verdict.worker);
        let mut expected = state.acked.clone();
        for run in found.all().filter(|run| run.worker == verdict.worker) {
            expected.insert(run.number, run.number + run.count);
        }
        verdict.kept = kept.numbers.len();
        for (from, end) in expected.without(&kept.numbers) {
            let lost: Vec<_> = (from..end).filter(|n| !found.is_excused(&kept, *n)).collect();
            verdict.told += (end - from) - lost.len() as u64;
            verdict.lost += lost.len() as u64;
            if let (Some(first), Some(last)) = (lost.first(), lost.last()) {
                let WorkerVerdict { task, worker, .. } = &verdict;
                let known = if state.acked.contains(*first) { "acknowledged" } else { "seen" };
                self.found.violate(|| {
                    format!("{task} {worker}: {first} to {last} were {known} and are lost")
                });
            }
        }
        verdict
    }
}
