//! When a task is complete, and how it ended.

use std::time::Duration;

use crate::domain::{Outcome, TaskSummary, ToldEnd, WorkerCounts};

/// How long what is awaited, before a task that nobody pushes is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LifeCycle {
    /// Once all its workers have ended: a next one may still come.
    pub grace: Duration,
    /// Where some workers sent lines and went away without an end, and all others have ended.
    pub worker_lost_after: Duration,
    /// Where workers are awaited that never sent a line.
    pub quiet_period: Duration,
}

/// Whether more entries of a task are expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// More may come.
    Running {
        /// In what time the task is complete if nothing more comes; `None` while it is active.
        quiet_in: Option<Duration>,
    },
    /// Nothing more is expected.
    Complete {
        /// How it ended.
        outcome: Outcome,
    },
}

impl LifeCycle {
    /// One without grace, where only `quiet_period` counts.
    #[cfg(test)]
    pub const fn without_grace(quiet_period: Duration) -> Self {
        Self { grace: Duration::ZERO, worker_lost_after: quiet_period, quiet_period }
    }

    /// The state of a task that has had no entry and no stream for `idle`; `None` while a stream
    /// pushes it.
    pub(super) fn state(self, summary: &TaskSummary, idle: Option<Duration>) -> TaskState {
        let complete = TaskState::Complete { outcome: outcome(summary) };
        if summary.told_end.is_some_and(|told| !told.is_reopened) {
            return complete;
        }
        let Some(idle) = idle else { return TaskState::Running { quiet_in: None } };
        match self.patience(summary).checked_sub(idle) {
            Some(left) if !left.is_zero() => TaskState::Running { quiet_in: Some(left) },
            _ => complete,
        }
    }

    fn patience(self, summary: &TaskSummary) -> Duration {
        let workers = &summary.worker_counts;
        let awaited = workers.known().saturating_sub(workers.ended());
        if workers.known() > 0 && awaited == 0 {
            self.grace
        } else if awaited > 0 && awaited == workers.unended {
            self.worker_lost_after.min(self.quiet_period)
        } else {
            self.quiet_period
        }
    }
}

/// How a complete task ended. What was told counts; a success only while nothing came after it.
fn outcome(summary: &TaskSummary) -> Outcome {
    let of_workers = || outcome_of_workers(&summary.worker_counts);
    match summary.told_end {
        Some(ToldEnd { outcome: Some(Outcome::Succeeded), is_reopened: true, .. }) => of_workers(),
        Some(ToldEnd { outcome: Some(told), .. }) => told,
        Some(ToldEnd { outcome: None, .. }) | None => of_workers(),
    }
}

fn outcome_of_workers(workers: &WorkerCounts) -> Outcome {
    if workers.failed > 0 {
        Outcome::Failed
    } else if workers.unended > 0 {
        Outcome::Lost
    } else if workers.known() == 0 || workers.ended() < workers.known() {
        Outcome::Unknown
    } else if workers.terminated > 0 {
        Outcome::Terminated
    } else {
        Outcome::Succeeded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CountedWorker, Offset, WorkerState};
    use crate::tasks::tests::summary;

    const SECOND: Duration = Duration::from_secs(1);
    const LIFE_CYCLE: LifeCycle = LifeCycle {
        grace: Duration::from_secs(30),
        worker_lost_after: Duration::from_secs(120),
        quiet_period: Duration::from_secs(600),
    };

    /// A task whose workers are in these states and sent so many lines.
    fn task(workers: &[(Option<WorkerState>, u64)]) -> TaskSummary {
        let mut summary = summary(0, None);
        for &(state, lines) in workers {
            summary.worker_counts.add(CountedWorker { state, lines, cut: 0 });
        }
        summary
    }

    fn told(outcome: Option<Outcome>, is_reopened: bool) -> Option<ToldEnd> {
        Some(ToldEnd { outcome, offset: Offset(1), is_reopened })
    }

    const COMPLETED: (Option<WorkerState>, u64) = (Some(WorkerState::Completed), 1);
    const FAILED: (Option<WorkerState>, u64) = (Some(WorkerState::Failed), 1);
    const TERMINATED: (Option<WorkerState>, u64) = (Some(WorkerState::Terminated), 1);
    /// Went away after a line.
    const LOST: (Option<WorkerState>, u64) = (Some(WorkerState::Running), 1);
    /// Never sent a line.
    const AWAITED: (Option<WorkerState>, u64) = (Some(WorkerState::Created), 0);

    #[test]
    fn how_long_a_task_is_awaited_depends_on_its_workers() {
        let cases: [(&[_], Duration, Outcome); 8] = [
            (&[COMPLETED, COMPLETED], LIFE_CYCLE.grace, Outcome::Succeeded),
            (&[COMPLETED, FAILED], LIFE_CYCLE.grace, Outcome::Failed),
            (&[COMPLETED, TERMINATED], LIFE_CYCLE.grace, Outcome::Terminated),
            (&[COMPLETED, LOST], LIFE_CYCLE.worker_lost_after, Outcome::Lost),
            (&[FAILED, LOST], LIFE_CYCLE.worker_lost_after, Outcome::Failed),
            (&[COMPLETED, AWAITED], LIFE_CYCLE.quiet_period, Outcome::Unknown),
            (&[LOST, AWAITED], LIFE_CYCLE.quiet_period, Outcome::Lost),
            (&[], LIFE_CYCLE.quiet_period, Outcome::Unknown),
        ];
        for (workers, patience, outcome) in cases {
            let task = task(workers);
            let before = LIFE_CYCLE.state(&task, Some(patience - SECOND));
            assert_eq!(before, TaskState::Running { quiet_in: Some(SECOND) }, "{workers:?}");
            let after = LIFE_CYCLE.state(&task, Some(patience));
            assert_eq!(after, TaskState::Complete { outcome }, "{workers:?}");
            let active = LIFE_CYCLE.state(&task, None);
            assert_eq!(active, TaskState::Running { quiet_in: None }, "{workers:?}");
        }
    }

    #[test]
    fn whoever_had_only_refused_entries_neither_holds_a_task_up_nor_spoils_its_outcome() {
        let task = task(&[COMPLETED, (None, 0)]);
        let complete = TaskState::Complete { outcome: Outcome::Succeeded };
        assert_eq!(LIFE_CYCLE.state(&task, Some(LIFE_CYCLE.grace)), complete);
    }

    #[test]
    fn a_told_end_counts_at_once_and_also_while_a_stream_is_open() {
        let mut task = task(&[LOST]);
        for outcome in Outcome::ALL {
            task.told_end = told(Some(outcome), false);
            assert_eq!(LIFE_CYCLE.state(&task, None), TaskState::Complete { outcome });
        }
        task.told_end = told(None, false);
        let by_workers = TaskState::Complete { outcome: Outcome::Lost };
        assert_eq!(LIFE_CYCLE.state(&task, None), by_workers);
    }

    #[test]
    fn a_reopened_task_waits_again_and_keeps_what_was_told_unless_it_was_a_success() {
        let mut task = task(&[FAILED]);
        for (before, after) in
            [(Outcome::Succeeded, Outcome::Failed), (Outcome::Terminated, Outcome::Terminated)]
        {
            task.told_end = told(Some(before), true);
            let waits = TaskState::Running { quiet_in: Some(LIFE_CYCLE.grace) };
            assert_eq!(LIFE_CYCLE.state(&task, Some(Duration::ZERO)), waits);
            let complete = TaskState::Complete { outcome: after };
            assert_eq!(LIFE_CYCLE.state(&task, Some(LIFE_CYCLE.grace)), complete);
        }
    }
}
