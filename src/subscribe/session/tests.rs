use std::time::Duration;

use super::*;
use crate::domain::{Epoch, EventId, WorkerId, WorkerState};
use crate::store::StoreOptions;
use crate::subscribe::fixture::{Fixture, in_task, task};

const LINE: &str = "\"message\":\"m\"}";

/// What a test compares of an event.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Reset,
    /// The offsets of the entries.
    Entries(Vec<u64>),
    Gap {
        from: u64,
        to: u64,
    },
    /// The workers.
    Unfinished(Vec<String>),
    Complete,
    Deleted,
    End,
}

async fn open(fixture: &Fixture, scope: Scope, start: Start, follow: bool) -> ReaderSession {
    ReaderSession::open(fixture.source.clone(), scope, start, follow).await.unwrap()
}

async fn next(session: &mut ReaderSession) -> Seen {
    let event = tokio::time::timeout(Duration::from_secs(20), session.next());
    match event.await.expect("no event in time").unwrap() {
        Event::Reset => Seen::Reset,
        Event::Entries { range, from } => {
            let entries = range.blocks().iter().flat_map(|block| block.entries());
            Seen::Entries(entries.map(|entry| entry.offset.0).filter(|o| *o >= from.0).collect())
        }
        Event::Gap(gap) => Seen::Gap { from: gap.from.0, to: gap.to.0 },
        Event::Unfinished(lines) => {
            Seen::Unfinished(lines.iter().map(|line| line.worker.to_string()).collect())
        }
        Event::Complete(_) => Seen::Complete,
        Event::Deleted => Seen::Deleted,
        Event::End => Seen::End,
    }
}

/// Whether the session is reset, and the offsets that it yields until its end.
async fn read_to_end(mut session: ReaderSession) -> (bool, Vec<u64>) {
    let (mut is_reset, mut offsets) = (false, Vec::new());
    loop {
        match next(&mut session).await {
            Seen::Reset => is_reset = true,
            Seen::Entries(more) => offsets.extend(more),
            Seen::End => return (is_reset, offsets),
            other => panic!("{other:?} is not expected"),
        }
    }
}

/// Offsets 1, 2 and 4 are lines of task `a`, 3 is one of task `b`.
async fn fill(fixture: &Fixture) {
    fixture.push("a", &[LINE, LINE]).await;
    fixture.push("b", &[LINE]).await;
    fixture.push("a", &[LINE]).await;
}

#[tokio::test]
async fn a_session_begins_where_it_was_asked_to() {
    let in_hub = Fixture::new(1 << 20);
    let in_store = Fixture::new(1);
    for fixture in [in_hub, in_store] {
        fill(&fixture).await;
        let after = |offset| Start::After(fixture.id(offset));
        let foreign = EventId { epoch: Epoch(!fixture.id(1).epoch.0), offset: Offset(1) };
        let cases = [
            (in_task("a"), Start::Beginning, (false, vec![1, 2, 4])),
            (in_task("a"), Start::Now, (false, vec![])),
            (in_task("a"), after(1), (false, vec![2, 4])),
            (in_task("a"), after(3), (false, vec![4])),
            (in_task("a"), after(4), (false, vec![])),
            (in_task("a"), after(5), (true, vec![1, 2, 4])),
            (in_task("a"), Start::After(foreign), (true, vec![1, 2, 4])),
            (in_task("a"), Start::Tail(0), (false, vec![])),
            (in_task("a"), Start::Tail(2), (false, vec![2, 4])),
            (in_task("a"), Start::Tail(9), (false, vec![1, 2, 4])),
            (in_task("unknown"), Start::Beginning, (false, vec![])),
            (in_task("unknown"), Start::Tail(2), (false, vec![])),
            (Scope::All, Start::Beginning, (false, vec![1, 2, 3, 4])),
            (Scope::All, after(2), (false, vec![3, 4])),
            (Scope::All, Start::Tail(2), (false, vec![3, 4])),
            (Scope::All, Start::Tail(9), (false, vec![1, 2, 3, 4])),
            (Scope::All, Start::After(foreign), (true, vec![])),
        ];
        for (scope, start, expected) in cases {
            let session = open(&fixture, scope.clone(), start, false).await;
            assert_eq!(read_to_end(session).await, expected, "{scope:?} from {start:?}");
        }
    }
}

#[tokio::test]
async fn readers_of_a_deleted_task_are_told_and_end_and_those_of_all_tasks_get_gaps() {
    let in_hub = Fixture::new(1 << 20);
    let in_store = Fixture::new(1);
    for fixture in [in_hub, in_store] {
        fill(&fixture).await;
        let mut one = open(&fixture, in_task("a"), Start::Beginning, true).await;
        let mut idle = open(&fixture, in_task("a"), Start::Now, true).await;
        let mut all = open(&fixture, Scope::All, Start::Beginning, true).await;
        let mut other = open(&fixture, in_task("b"), Start::Beginning, true).await;
        fixture.delete("a").await;
        assert_eq!(next(&mut one).await, Seen::Deleted);
        assert_eq!(next(&mut idle).await, Seen::Deleted);
        assert_eq!(next(&mut all).await, Seen::Gap { from: 1, to: 2 });
        assert_eq!(next(&mut all).await, Seen::Entries(vec![3]));
        assert_eq!(next(&mut all).await, Seen::Gap { from: 4, to: 4 });
        assert_eq!(next(&mut other).await, Seen::Entries(vec![3]));
        fixture.push("a", &[LINE]).await;
        assert_eq!(next(&mut all).await, Seen::Entries(vec![5]));
        let mut resumed = open(&fixture, in_task("a"), Start::After(fixture.id(1)), true).await;
        assert_eq!(next(&mut resumed).await, Seen::Gap { from: 2, to: 4 });
        assert_eq!(next(&mut resumed).await, Seen::Entries(vec![5]));
        let mut new = open(&fixture, in_task("a"), Start::Beginning, true).await;
        assert_eq!(next(&mut new).await, Seen::Entries(vec![5]));
    }
}

#[tokio::test]
async fn a_session_that_lags_reads_the_store_and_then_the_window_again() {
    // The window holds one block of a few thousand bytes.
    let fixture = Fixture::new(8 << 10);
    let long = format!("\"message\":\"{}\"}}", "x".repeat(4000));
    let mut session = open(&fixture, in_task("a"), Start::Beginning, true).await;
    fixture.push("a", &[&long]).await;
    assert_eq!(next(&mut session).await, Seen::Entries(vec![1]));
    for _ in 0..9 {
        fixture.push("a", &[&long]).await;
    }
    let window_at = |session: &ReaderSession| session.subscription.read(session.cursor());
    assert!(matches!(window_at(&session), WindowRead::Behind));
    let mut seen = vec![];
    while seen.len() < 9 {
        let Seen::Entries(more) = next(&mut session).await else { panic!("only entries come") };
        seen.extend(more);
    }
    assert_eq!(seen, (2..=10).collect::<Vec<_>>());
    assert!(matches!(window_at(&session), WindowRead::Nothing));
    fixture.push("a", &[&long]).await;
    assert!(matches!(window_at(&session), WindowRead::Blocks { .. }));
    assert_eq!(next(&mut session).await, Seen::Entries(vec![11]));
}

#[tokio::test]
async fn what_retention_removed_is_a_gap_and_the_rest_follows() {
    let fixture = Fixture::with(1, Duration::from_secs(300), |options| StoreOptions {
        segment_bytes: 16 << 10,
        retention_bytes: Some(128 << 10),
        ..options
    });
    // Random, so that compression does not keep it below the limit.
    for _ in 0..40 {
        let noise: String = (0..10_000).map(|_| fastrand::alphanumeric()).collect();
        fixture.push("a", &[&format!("\"message\":\"{noise}\"}}")]).await;
    }
    while fixture.source.log.task(&task("a")).await.unwrap().unwrap().first_line == 1 {
        tokio::task::yield_now().await;
    }
    let mut session = open(&fixture, in_task("a"), Start::Beginning, true).await;
    let mut wanted = 1;
    let mut has_gap = false;
    while wanted <= 40 {
        match next(&mut session).await {
            Seen::Gap { from, to } => {
                assert_eq!(from, wanted);
                has_gap = true;
                wanted = to + 1;
            }
            Seen::Entries(offsets) => {
                let expected: Vec<_> = (wanted..).take(offsets.len()).collect();
                assert_eq!(offsets, expected);
                wanted += offsets.len() as u64;
            }
            other => panic!("{other:?} is not expected"),
        }
    }
    assert!(has_gap);
}

#[tokio::test]
async fn a_session_that_follows_ends_once_its_task_is_complete() {
    let fixture = Fixture::new(1 << 20);
    let active = fixture.source.tasks.activate(&task("a"));
    let mut session = open(&fixture, in_task("a"), Start::Beginning, true).await;
    fixture.push("a", &[LINE]).await;
    assert_eq!(next(&mut session).await, Seen::Entries(vec![1]));
    fixture.push_status("a", WorkerState::Completed).await;
    assert_eq!(next(&mut session).await, Seen::Entries(vec![2]));
    assert!(session.finished().await.unwrap().is_none(), "a stream of the task is still open");
    drop(active);
    assert_eq!(next(&mut session).await, Seen::Complete);
}

#[tokio::test]
async fn a_session_that_follows_ends_after_the_quiet_period() {
    let fixture = Fixture::with(1 << 20, Duration::from_millis(20), |options| options);
    fixture.push("a", &[LINE]).await;
    let mut session = open(&fixture, in_task("a"), Start::Beginning, true).await;
    assert_eq!(next(&mut session).await, Seen::Entries(vec![1]));
    assert_eq!(next(&mut session).await, Seen::Complete);
}

#[tokio::test]
async fn a_session_that_is_to_be_reset_is_not_finished_before_it_says_so() {
    let fixture = Fixture::new(1 << 20);
    fixture.push_status("a", WorkerState::Failed).await;
    let mut session = open(&fixture, in_task("a"), Start::After(fixture.id(2)), true).await;
    assert!(session.finished().await.unwrap().is_none());
    assert_eq!(next(&mut session).await, Seen::Reset);
    assert_eq!(next(&mut session).await, Seen::Entries(vec![1]));
    assert_eq!(next(&mut session).await, Seen::Complete);
}

fn unfinished(task_name: &str, worker: &str) -> UnfinishedLine {
    let (worker, source) = (WorkerId::new(worker).unwrap(), "stdout".into());
    UnfinishedLine { task: task(task_name), worker, source, body: LINE.as_bytes().into() }
}

#[tokio::test]
async fn what_is_unfinished_comes_after_all_lines_and_again_only_when_it_changes() {
    let fixture = Fixture::new(1 << 20);
    fill(&fixture).await;
    let hub = &fixture.source.hub;
    let dots = hub.show_unfinished(unfinished("a", "dots"));
    let _other = hub.show_unfinished(unfinished("b", "other"));
    let mut one = open(&fixture, in_task("a"), Start::Beginning, true).await;
    let mut all = open(&fixture, Scope::All, Start::Now, true).await;
    assert_eq!(next(&mut one).await, Seen::Entries(vec![1, 2, 4]));
    assert_eq!(next(&mut one).await, Seen::Unfinished(vec!["dots".into()]));
    assert_eq!(next(&mut all).await, Seen::Unfinished(vec!["dots".into(), "other".into()]));
    drop(dots);
    fixture.push("a", &[LINE]).await;
    assert_eq!(next(&mut one).await, Seen::Entries(vec![5]));
    let _next = hub.show_unfinished(unfinished("a", "prompt"));
    assert_eq!(next(&mut one).await, Seen::Unfinished(vec!["prompt".into()]));
    let mut late = open(&fixture, in_task("a"), Start::After(fixture.id(4)), true).await;
    assert_eq!(next(&mut late).await, Seen::Entries(vec![5]));
    assert_eq!(next(&mut late).await, Seen::Unfinished(vec!["prompt".into()]));
    let ended = open(&fixture, in_task("a"), Start::Beginning, false).await;
    assert_eq!(read_to_end(ended).await, (false, vec![1, 2, 4, 5]));
}
