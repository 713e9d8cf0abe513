//! What retention drops, and the gaps it leaves.

use std::time::Duration;

use super::*;

/// One entry per segment, alternating between tasks `a`, `b` and `b`.
async fn fill(store: &Store, count: usize) {
    for n in 0..count {
        keep(store, lines(["a", "b", "b"][n % 3], &[&n.to_string()])).await;
    }
}

/// Waits until at most `segments` are left.
pub(super) async fn wait_for_segments(store: &Store, segments: usize) {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    while store.stats().segments > segments {
        ticks.tick().await;
    }
}

fn one_entry_per_segment(dir: &Path) -> StoreOptions {
    StoreOptions { segment_chunks: 1, ..StoreOptions::new(dir) }
}

/// A store of nine entries of which the last ones are kept, and its directory.
async fn retained(bytes_of_segments: u64) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(one_entry_per_segment(dir.path()));
    fill(&store, 9).await;
    store.close().await;
    let newest: Vec<_> = segment_files(dir.path());
    let kept = newest.iter().rev().take(bytes_of_segments as usize + 1);
    let bytes: u64 = kept.map(|file| fs::metadata(file).unwrap().len()).sum();
    let options =
        StoreOptions { retention_bytes: Some(bytes), ..one_entry_per_segment(dir.path()) };
    let store = open_store(options);
    wait_for_segments(&store, bytes_of_segments as usize + 1).await;
    (dir, store)
}

fn gap(from: u64, to: u64, lines: Option<u64>) -> Option<Gap> {
    Some(Gap { from: Offset(from), to: Offset(to), lines, reason: "retention" })
}

async fn check_gaps(store: &Store) {
    // Kept are the offsets 7 (a, line 3), 8 and 9 (b, lines 5 and 6); before: a 1 4, b 2 3 5 6.
    let task_gap = async |id: &str, from| {
        let read = store.read(Scope::Task(task(id)), Offset(from), 1).await.unwrap();
        (read.gap, read.blocks[0].base.0)
    };
    assert_eq!(task_gap("a", 1).await, (gap(1, 4, Some(2)), 7));
    assert_eq!(task_gap("a", 4).await, (gap(4, 4, None), 7));
    assert_eq!(task_gap("a", 5).await, (None, 7));
    assert_eq!(task_gap("b", 1).await, (gap(1, 6, Some(4)), 8));
    assert_eq!(task_gap("b", 6).await, (gap(6, 6, None), 8));
    assert_eq!(task_gap("b", 7).await, (None, 8));
    let all = store.read(Scope::All, Offset(3), 1).await.unwrap();
    assert_eq!((all.gap, all.blocks[0].base.0), (gap(3, 6, None), 7));
    let all = store.read(Scope::All, Offset(7), 1).await.unwrap();
    assert_eq!((all.gap, all.blocks[0].base.0), (None, 7));
    let summary = known(store, "b").await.unwrap();
    assert_eq!((summary.first_offset, summary.first_line, summary.last_line), (Offset(8), 5, 6));
    assert_eq!(store.locate(task("b"), 1).await, Ok(Offset(8)));
}

#[tokio::test]
async fn a_gap_names_exactly_what_a_task_lost_also_after_reopening() {
    let (dir, store) = retained(3).await;
    check_gaps(&store).await;
    store.close().await;
    let store = open_store(one_entry_per_segment(dir.path()));
    check_gaps(&store).await;
    assert_eq!(keep(&store, lines("a", &["on"])).await.kept, 1);
    assert_eq!(known(&store, "a").await.unwrap().last_line, 4);
}

#[tokio::test]
async fn a_task_that_lost_everything_is_forgotten_and_its_old_readers_get_a_gap() {
    let (_dir, store) = retained(2).await;
    assert_eq!(known(&store, "a").await, None);
    let stats = store.read(Scope::Task(task("a")), Offset(4), 1).await.unwrap();
    assert_eq!((stats.gap, stats.next), (gap(4, 7, None), Offset(10)));
    let new = store.read(Scope::Task(task("a")), Offset(1), 1).await.unwrap();
    assert_eq!((new.gap, new.next), (None, Offset(10)));
    let current = store.read(Scope::Task(task("a")), Offset(9), 1).await.unwrap();
    assert_eq!(current.gap, None);
}

#[tokio::test]
async fn files_of_dropped_segments_are_removed() {
    let (dir, store) = retained(3).await;
    store.close().await;
    let names: Vec<_> = segment_files(dir.path());
    assert_eq!(names.len(), 4);
    assert!(names[0].ends_with("00000000000000000007.seg"));
}

#[tokio::test]
async fn segments_beyond_their_age_are_dropped_and_the_active_one_is_sealed_by_age() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Duration::from_millis(200);
    let store =
        open_store(StoreOptions { retention_age: Some(kept), ..StoreOptions::new(dir.path()) });
    fill(&store, 9).await;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    while !all_tasks(&store).await.is_empty() {
        ticks.tick().await;
    }
    assert_eq!(store.tail(), Offset(10));
    let read = store.read(Scope::All, Offset(1), 1).await.unwrap();
    assert_eq!((read.gap, read.next), (gap(1, 9, None), Offset(10)));
    store.close().await;
    let store = open_store(StoreOptions::new(dir.path()));
    assert_eq!(store.tail(), Offset(10), "the offsets began anew");
}

#[tokio::test]
async fn a_clock_ten_years_ahead_deletes_nothing_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(one_entry_per_segment(dir.path()));
    fill(&store, 9).await;
    store.close().await;
    let options = one_entry_per_segment(dir.path());
    let ten_years_ms = 10 * 365 * 24 * 60 * 60 * 1000;
    options.clock.step(ten_years_ms);
    let kept = Some(Duration::from_secs(30 * 24 * 60 * 60));
    let store = open_store(StoreOptions { retention_age: kept, ..options });
    // The second one is committed after the first maintenance, which runs between two commits.
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    for _ in 0..30 {
        ticks.tick().await;
        keep(&store, lines("a", &["on"])).await;
    }
    assert_eq!(store.stats().deleted_segments, 0);
    let first = store.read(Scope::All, Offset(1), 1).await.unwrap();
    assert_eq!((first.gap, first.blocks[0].base), (None, Offset(1)));
}

#[tokio::test]
async fn too_old_segments_go_one_by_one_and_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(one_entry_per_segment(dir.path()));
    fill(&store, 4).await;
    store.close().await;
    let options = one_entry_per_segment(dir.path());
    options.clock.step(3_600_000);
    let kept = Some(Duration::from_secs(1));
    let store = open_store(StoreOptions { retention_age: kept, ..options });
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let mut seen = 0;
    while seen < 4 {
        ticks.tick().await;
        let deleted = store.stats().deleted_segments;
        assert!(deleted <= seen + 1, "from {seen} to {deleted} at once");
        seen = deleted;
    }
}

#[tokio::test]
async fn without_files_the_oldest_tasks_go_when_they_take_too_much_memory() {
    let store = open_store(StoreOptions {
        catalog_bytes: 50_000,
        segment_chunks: 20,
        ..StoreOptions::in_memory()
    });
    for n in 0..500 {
        keep(&store, lines(&format!("task-{n}"), &["x"])).await;
    }
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    while store.stats().catalog_bytes > 50_000 {
        ticks.tick().await;
    }
    let tasks = all_tasks(&store).await;
    assert!(!tasks.is_empty() && tasks.len() < 500, "{} tasks are left", tasks.len());
    assert_eq!(tasks[0].task.as_str(), "task-499");
    store.close().await;
}

#[tokio::test]
async fn a_reader_never_fails_and_never_misses_silently_while_retention_runs() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Some(40_000);
    let store =
        open_store(StoreOptions { retention_bytes: kept, ..one_entry_per_segment(dir.path()) });
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            while store.tail() < Offset(300)
                || store.read(Scope::All, Offset(1), 1).await.unwrap().gap.is_none()
            {
                keep(&store, lines("a", &["body"])).await;
            }
        }
    });
    let mut next = Offset::FIRST;
    while !writer.is_finished() || next < store.tail() {
        let read = store.read(Scope::Task(task("a")), next, 2000).await.unwrap();
        let mut expected = read.gap.map_or(next, |gap| gap.to.next());
        for (offset, ..) in entries(&read.blocks, next.0) {
            assert_eq!(offset, expected.0);
            expected = expected.next();
        }
        assert_eq!(read.next, expected);
        next = if writer.is_finished() { read.next } else { Offset::FIRST };
    }
    writer.await.unwrap();
}
