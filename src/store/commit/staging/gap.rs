//! Gaps among what is staged, to be counted.

use serde::Deserialize;

use crate::domain::{Kind, Run};
use crate::encode::read_body;

/// What a gap says of itself.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct StagedGap {
    pub(super) lines: Option<u64>,
    pub(super) reason: String,
}

impl StagedGap {
    /// The gap that `run` is; a gap is a run of its own.
    pub(super) fn of(run: &Run) -> Option<Self> {
        if run.records.count() != 1 {
            return None;
        }
        let (kind, body) = run.records.iter().next()?;
        (kind == Kind::Gap).then(|| read_body(body))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Records, TaskId, WorkerId};
    use crate::encode::gap_run;

    #[test]
    fn a_gap_is_read_back_and_a_line_is_none() {
        let (task, worker) = (TaskId::new("t").unwrap(), WorkerId::new("w").unwrap());
        let gap = |lines| StagedGap::of(&gap_run(&task, &worker, lines, "a \"reason\""));
        let expected = |lines| Some(StagedGap { lines, reason: "a \"reason\"".into() });
        assert_eq!(gap(Some(3)), expected(Some(3)));
        assert_eq!(gap(None), expected(None));
        let mut records = Records::default();
        records.push(Kind::Log, b"\"reason\":\"x\"}");
        let line = Run { task, worker, session: None, records };
        assert_eq!(StagedGap::of(&line), None);
    }
}
