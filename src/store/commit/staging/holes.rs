//! Numbers that a producer left out. The log tells them by a gap where their entries would stand.

use crate::domain::{Gap, ProducerSession, Records, Run};
use crate::encode::gap_run;

/// `run` with a gap wherever its numbers leave some out; `None` where they leave none out. `last` is the
/// number before the run's first, where the session is known; `refused` numbers that are missing
/// before the first have been told: entries that were refused.
pub(super) fn with_gaps(run: &Run, last: Option<u64>, refused: u64) -> Option<Vec<Run>> {
    let session = run.session.as_ref()?;
    let seqs = &session.seqs;
    let before_first = missing(last, *seqs.first()?).saturating_sub(refused);
    let between = |pair: &[u64]| missing(Some(pair[0]), pair[1]) > 0;
    if before_first == 0 && !seqs.windows(2).any(between) {
        return None;
    }
    let mut runs = Vec::new();
    push_gap(&mut runs, run, before_first);
    let mut part = Part::default();
    for (&seq, (kind, body)) in seqs.iter().zip(run.records.iter()) {
        let missing = missing(part.seqs.last().copied(), seq);
        if missing > 0 {
            runs.push(std::mem::take(&mut part).into_run(run, session));
            push_gap(&mut runs, run, missing);
        }
        part.seqs.push(seq);
        part.records.push(kind, body);
    }
    runs.push(part.into_run(run, session));
    Some(runs)
}

/// How many numbers are between `last` and `seq`.
fn missing(last: Option<u64>, seq: u64) -> u64 {
    last.map_or(0, |last| seq.saturating_sub(last).saturating_sub(1))
}

/// Records of a run whose numbers leave none out.
#[derive(Default)]
struct Part {
    seqs: Vec<u64>,
    records: Records,
}

impl Part {
    fn into_run(self, run: &Run, session: &ProducerSession) -> Run {
        let Self { seqs, records } = self;
        let session = Some(ProducerSession { id: session.id.clone(), seqs });
        Run { task: run.task.clone(), worker: run.worker.clone(), session, records }
    }
}

fn push_gap(runs: &mut Vec<Run>, run: &Run, lines: u64) {
    if lines == 0 {
        return;
    }
    runs.push(gap_run(&run.task, &run.worker, Some(lines), Gap::NUMBERING));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Kind, TaskId, WorkerId};

    fn run(seqs: &[u64]) -> Run {
        let mut records = Records::default();
        seqs.iter().for_each(|seq| records.push(Kind::Log, format!("\"{seq}\":0}}").as_bytes()));
        let session = Some(ProducerSession { id: "s".into(), seqs: seqs.to_vec() });
        let (task, worker) = (TaskId::new("t").unwrap(), WorkerId::new("w").unwrap());
        Run { task, worker, session, records }
    }

    /// The numbers of each run; a gap is the number of its lines, below zero.
    fn told(seqs: &[u64], last: Option<u64>, refused: u64) -> Option<Vec<Vec<i64>>> {
        let runs = with_gaps(&run(seqs), last, refused)?;
        let numbers = |run: Run| match run.session {
            Some(session) => {
                assert_eq!(session.seqs.len(), run.records.count() as usize);
                session.seqs.into_iter().map(|seq| seq as i64).collect()
            }
            None => {
                let (kind, body) = run.records.iter().next().unwrap();
                assert_eq!(kind, Kind::Gap);
                let gap = [b"{", body].concat();
                let gap: serde_json::Value = serde_json::from_slice(&gap).unwrap();
                assert_eq!(gap["reason"], "numbering");
                vec![-gap["lines"].as_i64().unwrap()]
            }
        };
        Some(runs.into_iter().map(numbers).collect())
    }

    #[test]
    fn numbers_that_are_left_out_are_told_where_they_would_stand() {
        assert_eq!(told(&[5, 6, 7], Some(4), 0), None);
        assert_eq!(told(&[5, 6, 7], None, 0), None, "a session may begin with any number");
        assert_eq!(told(&[6, 7], Some(3), 0), Some(vec![vec![-2], vec![6, 7]]));
        let inside = told(&[5, 8, 9, 11], Some(4), 0);
        assert_eq!(inside, Some(vec![vec![5], vec![-2], vec![8, 9], vec![-1], vec![11]]));
        assert_eq!(told(&[u64::MAX], Some(0), u64::MAX), None);
    }

    #[test]
    fn what_was_refused_was_told_already() {
        assert_eq!(told(&[6, 7], Some(3), 2), None);
        assert_eq!(told(&[6, 7], Some(3), 1), Some(vec![vec![-1], vec![6, 7]]));
    }

    #[test]
    fn parts_of_one_line_share_its_number() {
        assert_eq!(told(&[5, 5, 5, 6], Some(5), 0), None);
        assert_eq!(told(&[5, 5, 7], Some(4), 0), Some(vec![vec![5, 5], vec![-1], vec![7]]));
    }
}
