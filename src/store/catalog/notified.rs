//! Which of a worker's status notifications counts.

use std::cmp::Ordering;

use serde::Deserialize;

use crate::domain::{Offset, WorkerState};
use crate::encode::{parse_ms, read_body};

/// A worker's status notification, as far as the catalog keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Notified {
    pub(super) state: WorkerState,
    /// Its place in the log.
    pub(super) offset: Offset,
    /// The producer's own time of it, in milliseconds since the Unix epoch.
    pub(super) told_ms: Option<u64>,
    /// Metadata `exit_code`.
    pub(super) exit_code: Option<i32>,
}

/// The members of a status's body that count.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(default)]
    timestamp: String,
    #[serde(default)]
    received_at: String,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    exit_code: String,
}

impl Notified {
    /// What the record of a status says, whose body lacks its opening brace.
    pub(super) fn of_record(state: WorkerState, body: &[u8], offset: Offset) -> Self {
        let body: Option<Body> = read_body(body);
        // The time of receipt stands in where the producer told none.
        let told = body.as_ref().filter(|body| body.timestamp != body.received_at);
        Self {
            state,
            offset,
            told_ms: told.and_then(|body| parse_ms(&body.timestamp)),
            exit_code: body.and_then(|body| body.metadata.exit_code.parse().ok()),
        }
    }

    /// The one that counts of two, of which `later` came later: the newer one by the producers' own
    /// times, or as they came where one has none. At equal times an end counts before none, and of
    /// ends the worst.
    pub(super) fn which_counts(earlier: Self, later: Self) -> Self {
        let by_time = match (earlier.told_ms, later.told_ms) {
            (Some(earlier), Some(later)) => later.cmp(&earlier),
            _ => Ordering::Greater,
        };
        let is_over = match by_time {
            Ordering::Greater => true,
            Ordering::Equal => severity(later.state) >= severity(earlier.state),
            Ordering::Less => false,
        };
        if is_over { later } else { earlier }
    }
}

fn severity(state: WorkerState) -> u8 {
    match state {
        WorkerState::Created | WorkerState::Running => 0,
        WorkerState::Completed => 1,
        WorkerState::Terminated => 2,
        WorkerState::Failed => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use WorkerState::{Completed, Failed, Running, Terminated};

    /// Which state counts after notifications with these states and times came in this order.
    fn counts(notified: &[(WorkerState, Option<u64>)]) -> WorkerState {
        let all = notified.iter().zip(1..).map(|(&(state, told_ms), offset)| Notified {
            state,
            offset: Offset(offset),
            told_ms,
            exit_code: None,
        });
        all.reduce(Notified::which_counts).unwrap().state
    }

    #[test]
    fn an_end_is_not_undone_by_an_older_or_equal_notification_but_by_a_newer_one() {
        assert_eq!(counts(&[(Failed, Some(5)), (Running, Some(1))]), Failed);
        assert_eq!(counts(&[(Failed, Some(5)), (Running, Some(5))]), Failed);
        assert_eq!(counts(&[(Failed, Some(5)), (Running, Some(6))]), Running);
        assert_eq!(counts(&[(Failed, Some(5)), (Running, None)]), Running);
    }

    #[test]
    fn of_two_ends_the_newer_counts_and_at_equal_times_the_failure() {
        for ends in [[Failed, Completed], [Completed, Failed], [Terminated, Failed]] {
            assert_eq!(counts(&ends.map(|end| (end, Some(5)))), Failed, "{ends:?}");
        }
        assert_eq!(counts(&[(Completed, Some(6)), (Failed, Some(5))]), Completed);
        assert_eq!(counts(&[(Failed, Some(5)), (Completed, Some(6))]), Completed);
        assert_eq!(counts(&[(Failed, None), (Completed, None)]), Completed);
    }

    #[test]
    fn a_late_start_does_not_undo_the_run_that_came_before_it() {
        let notified = [(Running, Some(5)), (WorkerState::Created, Some(1))];
        assert_eq!(counts(&notified), Running);
    }

    #[test]
    fn the_producers_time_and_the_exit_code_are_read_from_the_record() {
        let body = br#""timestamp":"2026-11-24T06:57:29.007Z","metadata":{"exit_code":"-3"},"receivedAt":"x"}"#;
        let notified = Notified::of_record(Failed, body, Offset(1));
        assert_eq!((notified.told_ms, notified.exit_code), (Some(1_795_503_449_007), Some(-3)));
        let time = "2026-11-24T06:57:29.007Z";
        let stood_in = format!("\"timestamp\":\"{time}\",\"receivedAt\":\"{time}\"}}");
        assert_eq!(Notified::of_record(Failed, stood_in.as_bytes(), Offset(1)).told_ms, None);
    }
}
