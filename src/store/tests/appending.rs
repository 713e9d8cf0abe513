//! Appending and reading back.

use super::*;
use crate::domain::WorkerState;

#[tokio::test]
async fn what_was_appended_is_read_back_by_task_and_in_store_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(StoreOptions::new(dir.path()));
    for (id, body) in [("a", "1"), ("b", "2"), ("a", "3"), ("b", "4")] {
        let committed = keep(&store, lines(id, &[body])).await;
        assert_eq!(committed, Committed { kept: 1, repeated: 0 });
    }
    assert_eq!(bodies(&store, "a").await, ["1", "3"]);
    assert_eq!(bodies(&store, "b").await, ["2", "4"]);
    for max_bytes in [1, 1 << 20] {
        let (gaps, all) = read_all(&store, Scope::All, 2, max_bytes).await.unwrap();
        let all: Vec<_> = all
            .iter()
            .map(|(offset, task, line, body)| {
                (*offset, task.as_str(), line.unwrap(), body.as_str())
            })
            .collect();
        assert_eq!(all, [(2, "b", 1, "2"), (3, "a", 2, "3"), (4, "b", 2, "4")]);
        assert_eq!(gaps, []);
    }
    assert_eq!(store.tail(), Offset(5));
}

#[tokio::test]
async fn one_commit_groups_runs_by_task_and_is_published_once_before_its_receipt() {
    let dir = tempfile::tempdir().unwrap();
    let (store, commits) = open_watched(StoreOptions::new(dir.path()));
    let line = |task, body| run(task, "w", None, &[(Kind::Log, body)]);
    let runs = vec![line("b", "1"), line("a", "2"), line("b", "3")];
    keep(&store, Batch::of(runs)).await;
    let (blocks, tail) = commits.try_recv().expect("the receipt came before the callback");
    let seen: Vec<_> =
        entries(&blocks, 1).into_iter().map(|(o, t, l, b)| (o, t, l.unwrap(), b)).collect();
    let row =
        |offset, task: &str, line, body: &str| (offset, task.to_owned(), line, body.to_owned());
    assert_eq!(seen, [row(1, "b", 1, "1"), row(2, "b", 2, "3"), row(3, "a", 1, "2")]);
    assert_eq!((blocks.len(), tail), (2, Offset(4)));
    assert!(commits.try_recv().is_err(), "a commit was published twice");
}

#[tokio::test]
async fn reading_at_the_end_leads_to_the_tail_and_gives_no_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(StoreOptions::new(dir.path()));
    keep(&store, lines("a", &["1"])).await;
    keep(&store, lines("b", &["2"])).await;
    for (scope, from) in [(Scope::Task(task("a")), 2), (Scope::All, 3), (Scope::Task(task("c")), 1)]
    {
        let read = store.read(scope, Offset(from), 1).await.unwrap();
        assert_eq!((read.gap, read.blocks.len(), read.next), (None, 0, Offset(3)));
    }
}

#[tokio::test]
async fn a_summary_tells_lines_workers_states_and_lost_lines_also_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let (started, ended) = (Kind::Status(WorkerState::Running), Kind::Status(WorkerState::Failed));
    let store = open_store(StoreOptions { segment_chunks: 1, ..StoreOptions::new(dir.path()) });
    let first = run("a", "w2", None, &[(started, "\"s\":1}"), (Kind::Log, "\"m\":1}")]);
    let gap =
        run("a", "w1", None, &[(Kind::Gap, "\"lines\":7,\"reason\":\"x\"}"), (Kind::Log, "}")]);
    keep(&store, Batch::of(vec![first])).await;
    keep(&store, Batch::of(vec![gap])).await;
    keep(&store, Batch::of(vec![run("a", "w2", None, &[(ended, "\"s\":2}")])])).await;
    let before = known(&store, "a").await.unwrap();
    assert_eq!((before.first_offset, before.last_offset), (Offset(1), Offset(5)));
    assert_eq!((before.first_line, before.last_line, before.lost_lines), (1, 2, 7));
    let workers: Vec<_> = before
        .workers
        .iter()
        .map(|w| (w.worker.as_str(), w.lines, w.state, w.state_offset))
        .collect();
    let failed = Some(WorkerState::Failed);
    assert_eq!(workers, [("w2", 1, failed, Some(Offset(5))), ("w1", 1, None, None)]);
    store.close().await;
    let store = open_store(StoreOptions::new(dir.path()));
    assert_eq!(all_tasks(&store).await, [before]);
}

#[tokio::test]
async fn a_repeated_number_of_a_session_is_not_kept_twice_also_across_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(StoreOptions::new(dir.path()));
    assert_eq!(keep(&store, numbered("a", "s", &[1, 2, 3])).await.kept, 3);
    let again = keep(&store, numbered("a", "s", &[2, 3, 4])).await;
    assert_eq!(again, Committed { kept: 1, repeated: 2 });
    let other = keep(&store, numbered("a", "other", &[1])).await;
    assert_eq!(other, Committed { kept: 1, repeated: 0 });
    for options in [
        StoreOptions::new(dir.path()),
        StoreOptions { segment_chunks: 1, ..StoreOptions::new(dir.path()) },
    ] {
        let copy = copy_dir(dir.path());
        let store = open_store(StoreOptions { dir: copy.path().into(), ..options });
        let again = keep(&store, numbered("a", "s", &[1, 4, 5])).await;
        assert_eq!(again, Committed { kept: 1, repeated: 2 });
        assert_eq!(bodies(&store, "a").await, ["1", "2", "3", "4", "1", "5"]);
    }
}

#[tokio::test]
async fn a_repeat_within_one_commit_and_within_one_run_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(StoreOptions::new(dir.path()));
    let mut batch = numbered("a", "s", &[1, 2, 2, 1, 3]);
    batch.runs.extend(numbered("a", "s", &[3, 4]).runs);
    let committed = keep(&store, batch).await;
    assert_eq!(committed, Committed { kept: 4, repeated: 3 });
    assert_eq!(bodies(&store, "a").await, ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn a_long_run_is_cut_into_chunks_and_keeps_its_order_and_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let (store, commits) = open_watched(StoreOptions::new(dir.path()));
    let body = "x".repeat(100_000);
    let records: Vec<_> = (0..10).map(|_| (Kind::Log, body.as_str())).collect();
    let session = ProducerSession { id: "s".into(), seqs: (1..=10).collect() };
    keep(&store, Batch::of(vec![run("a", "w", Some(session), &records)])).await;
    let (blocks, _) = commits.recv().unwrap();
    let shapes: Vec<_> = blocks.iter().map(|b| (b.base.0, b.base_line, b.count)).collect();
    assert_eq!(shapes, [(1, 1, 3), (4, 4, 3), (7, 7, 3), (10, 10, 1)]);
    let last_seqs: Vec<_> =
        blocks.iter().map(|b| b.entries().next().unwrap().session.unwrap().last_seq).collect();
    assert_eq!(last_seqs, [3, 6, 9, 10]);
    assert_eq!(bodies(&store, "a").await.len(), 10);
}

#[tokio::test]
async fn any_line_of_a_task_over_many_small_segments_is_located() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        segment_chunks: 7,
        index_cache_bytes: 2000,
        ..StoreOptions::new(dir.path())
    };
    let store = open_store(options.clone());
    let status = Kind::Status(WorkerState::Running);
    for n in 0..100 {
        let text = n.to_string();
        let records = [(status, "s"), (Kind::Log, &*text), (Kind::Log, &*text)];
        let (of_task, other) = (run("a", "w", None, &records), run("b", "w", None, &records[..1]));
        keep(&store, Batch::of(vec![of_task, other])).await;
    }
    assert!(store.stats().segments > 10);
    check_every_line(&store).await;
    store.close().await;
    check_every_line(&open_store(options)).await;
}

async fn check_every_line(store: &Store) {
    for line in 1..=200 {
        let offset = store.locate(task("a"), line).await.unwrap();
        let expected = (line - 1) / 2 * 4 + 2 + (line - 1) % 2;
        assert_eq!(offset, Offset(expected), "line {line}");
    }
    assert_eq!(store.locate(task("a"), 201).await, Ok(Offset(400)));
    assert_eq!(store.locate(task("unknown"), 1).await, Ok(store.tail()));
}

#[tokio::test]
async fn closing_answers_what_is_queued_and_refuses_what_comes_after() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(StoreOptions::new(dir.path()));
    let mut receipts = Vec::new();
    for n in 0..100 {
        receipts.push(store.append(lines("a", &[&n.to_string()])).await.unwrap());
    }
    store.close().await;
    for receipt in receipts {
        assert_eq!(receipt.await, Ok(Committed { kept: 1, repeated: 0 }));
    }
    assert_eq!(store.append(lines("a", &["late"])).await.err(), Some(AppendError::Closed));
    assert_eq!(bodies(&store, "a").await.len(), 100);
    store.close().await;
}

#[tokio::test]
async fn numbers_that_a_producer_left_out_are_told_by_a_gap_and_counted_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(StoreOptions::new(dir.path()));
    let numbered = |seqs: &[u64]| {
        let session = ProducerSession { id: "s".into(), seqs: seqs.to_vec() };
        let lines: Vec<_> = seqs.iter().map(|_| (Kind::Log, "}")).collect();
        Batch::of(vec![run("a", "w", Some(session), &lines)])
    };
    let refused = [(Kind::Gap, "\"lines\":2,\"reason\":\"too_large\"}")];
    keep(&store, numbered(&[1, 2, 5])).await;
    keep(&store, numbered(&[4, 6])).await;
    keep(&store, Batch::of(vec![run("a", "w", None, &refused)])).await;
    keep(&store, numbered(&[9, 11])).await;
    let check = async |store: &Store| {
        let task = store.task(&task("a")).await.unwrap().unwrap();
        assert_eq!((task.workers[0].lines, task.workers[0].missing), (6, 3));
        assert_eq!((task.last_line, task.lost_lines), (6, 5));
    };
    check(&store).await;
    store.close().await;
    check(&open_store(StoreOptions::new(dir.path()))).await;
}

#[tokio::test]
async fn a_line_in_parts_that_is_sent_again_is_a_repeat_with_all_its_parts() {
    let dir = tempfile::tempdir().unwrap();
    let (log, part) = ((Kind::Log, "\"l\":1}"), (Kind::Part, "\"p\":1}"));
    let session = |seqs: &[u64]| Some(ProducerSession { id: "s".into(), seqs: seqs.into() });
    let first = || run("a", "w", session(&[1, 2, 2, 2]), &[log, log, part, part]);
    let kinds = [log, log, part, part, log, part];
    let more = run("a", "w", session(&[1, 2, 2, 2, 3, 3]), &kinds);
    let store = open_store(StoreOptions::new(dir.path()));
    let committed = keep(&store, Batch::of(vec![first(), more])).await;
    assert_eq!(committed, Committed { kept: 6, repeated: 4 });
    store.close().await;
    let store = open_store(StoreOptions::new(dir.path()));
    assert_eq!(keep(&store, Batch::of(vec![first()])).await, Committed { kept: 0, repeated: 4 });
    let (_, all) = read_all(&store, Scope::Task(task("a")), 1, 1).await.unwrap();
    let lines: Vec<_> = all.iter().map(|(offset, _, line, _)| (*offset, line.unwrap())).collect();
    assert_eq!(lines, [(1, 1), (2, 2), (3, 2), (4, 2), (5, 3), (6, 3)]);
    assert_eq!(known(&store, "a").await.unwrap().last_line, 3);
}
