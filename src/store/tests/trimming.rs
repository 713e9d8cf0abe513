//! What the limit on a task's bytes hides, and that it stays hidden.

use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

use super::*;
use crate::store::offline;

const LIMIT: u64 = 8000;

/// Segments of so many chunks.
fn limited(chunks: usize) -> impl Fn(&Path) -> StoreOptions {
    move |dir| StoreOptions {
        segment_chunks: chunks,
        task_bytes: Some(LIMIT),
        ..StoreOptions::new(dir)
    }
}

/// The lines with these numbers, of about a hundred bytes each.
async fn grow(store: &Store, id: &str, numbers: std::ops::Range<u64>) {
    for n in numbers {
        keep(store, lines(id, &[&format!("{n}:{}", "x".repeat(90))])).await;
    }
}

/// Waits for the maintenance that trims `id`, and returns what is known about it.
async fn trimmed(store: &Store, id: &str) -> TaskSummary {
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    for _ in 0..2000 {
        ticks.tick().await;
        if let Some(known) = known(store, id).await.filter(|known| known.bytes <= LIMIT) {
            return known;
        }
    }
    panic!("{id} is not trimmed: {:?}", known(store, id).await)
}

/// Everything that a reader of `id` gets.
#[derive(Debug, PartialEq)]
struct Shown {
    summary: Option<TaskSummary>,
    gaps: Vec<Gap>,
    seen: Vec<Seen>,
}

async fn shown(store: &Store, id: &str) -> Shown {
    let (gaps, seen) = read_all(store, Scope::Task(task(id)), 1, 3000).await.unwrap();
    Shown { summary: known(store, id).await, gaps, seen }
}

/// Checks that `id`, which had `lines` lines, shows its beginning, one gap, and its end, whoever asks.
async fn check_middle_is_hidden(store: &Store, id: &str, lines: u64) {
    let Shown { summary, gaps, seen } = shown(store, id).await;
    let summary = summary.unwrap();
    assert_eq!((summary.first_line, summary.last_line), (1, lines));
    let [gap] = gaps[..] else { panic!("not one gap: {gaps:?}") };
    let hidden = summary.trimmed_lines;
    assert_eq!((gap.reason, gap.lines), ("task_limit", Some(hidden)));
    let numbers: Vec<_> = seen.iter().map(|(_, _, line, _)| line.unwrap()).collect();
    let head = seen.iter().filter(|(offset, ..)| *offset < gap.from.0).count() as u64;
    let expected: Vec<_> = (1..=head).chain(head + hidden + 1..=lines).collect();
    assert_eq!(numbers, expected);
    assert!(head >= 15, "{head} lines at the beginning");
    let tail = lines - head - hidden;
    assert!((35..=70).contains(&tail), "{tail} lines at the end");
    for line in [head + 1, head + hidden] {
        assert_eq!(store.locate(task(id), line).await, Ok(gap.from), "line {line}");
    }
    for (offset, _, line, _) in &seen {
        assert_eq!(store.locate(task(id), line.unwrap()).await, Ok(Offset(*offset)));
    }
    let inside = Offset(gap.from.0 + 1);
    let (gaps, rest) = read_all(store, Scope::Task(task(id)), inside.0, 1 << 20).await.unwrap();
    assert_eq!(gaps, [Gap { from: inside, lines: None, ..gap }]);
    assert_eq!(rest.len() as u64, tail);
}

/// Checks that a scan of all tasks shows what the tasks show, and tells of all else.
async fn check_all(store: &Store, ids: &[&str]) {
    for max_bytes in [1, 1 << 20] {
        let (gaps, seen) = read_all(store, Scope::All, 1, max_bytes).await.unwrap();
        let mut expected = Vec::new();
        for id in ids {
            expected.extend(shown(store, id).await.seen);
        }
        expected.sort();
        assert_eq!(seen, expected);
        let missing = gaps.iter().flat_map(|gap| gap.from.0..=gap.to.0);
        let mut told: Vec<_> = missing.chain(seen.iter().map(|seen| seen.0)).collect();
        told.sort_unstable();
        assert_eq!(told, (1..store.tail().0).collect::<Vec<_>>());
        assert!(gaps.iter().all(|gap| gap.reason == "task_limit"), "{gaps:?}");
    }
}

#[tokio::test]
async fn a_task_over_its_limit_shows_beginning_and_end_also_after_a_restart_a_kill_or_a_new_index()
{
    for chunks in [7, 50, 10_000] {
        let options = limited(chunks);
        let dir = tempfile::tempdir().unwrap();
        let store = open_store(options(dir.path()));
        for n in 0..30 {
            grow(&store, "big", 10 * n..10 * n + 10).await;
            grow(&store, "small", n..n + 1).await;
        }
        trimmed(&store, "big").await;
        check_middle_is_hidden(&store, "big", 300).await;
        check_all(&store, &["big", "small"]).await;
        assert_eq!(shown(&store, "small").await.seen.len(), 30);
        let stats = store.stats();
        let before = shown(&store, "big").await;
        let lines = before.summary.as_ref().unwrap().trimmed_lines;
        assert_eq!((stats.trimmed_tasks, stats.trimmed_lines), (1, lines));
        let killed = copy_dir(dir.path());
        store.close().await;
        let closed = copy_dir(dir.path());
        let without_index = copy_dir(dir.path());
        fs::remove_file(without_index.path().join("TASKS")).unwrap();
        let without_footers = copy_dir(dir.path());
        fs::remove_file(without_footers.path().join("TASKS")).unwrap();
        segment_files(without_footers.path()).iter().for_each(|file| damage_trailer(file));
        for dir in [killed, closed, without_index, without_footers] {
            // Without the limit, what is hidden stays hidden.
            let unlimited = StoreOptions { task_bytes: None, ..options(dir.path()) };
            let store = open_store(unlimited);
            assert_eq!(shown(&store, "big").await, before, "{chunks} chunks a segment");
            check_all(&store, &["big", "small"]).await;
            store.close().await;
            let store = open_store(options(dir.path()));
            grow(&store, "big", 300..500).await;
            trimmed(&store, "big").await;
            check_middle_is_hidden(&store, "big", 500).await;
            check_all(&store, &["big", "small"]).await;
            store.close().await;
        }
    }
}

/// Flips a bit in a segment's last bytes, where a sealed one has its trailer.
fn damage_trailer(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    if bytes.windows(8).rev().take(100).any(|magic| magic == b"\xf6ohfoot1") {
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let mut file = fs::OpenOptions::new().write(true).open(file).unwrap();
        file.seek(SeekFrom::Start(last as u64)).unwrap();
        file.write_all(&bytes[last..]).unwrap();
    }
}

#[tokio::test]
async fn copies_of_a_directory_hide_what_it_hides() {
    let options = limited(50);
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(options(dir.path()));
    grow(&store, "big", 0..300).await;
    trimmed(&store, "big").await;
    let before = shown(&store, "big").await;
    store.close().await;
    let copies = tempfile::tempdir().unwrap();
    let path = |name: &str| copies.path().join(name);
    offline::repair(dir.path(), &path("repaired"), &|_, _| {}).unwrap();
    offline::backup(dir.path(), &path("backup"), &|_, _| {}).unwrap();
    offline::restore(&path("backup"), &path("restored"), &|_, _| {}).unwrap();
    for name in ["repaired", "restored"] {
        let store = open_store(options(&path(name)));
        assert_eq!(shown(&store, "big").await, before, "{name}");
    }
}

#[tokio::test]
async fn a_trimmed_task_that_was_let_go_is_read_and_goes_on_within_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    let options = |dir: &Path| StoreOptions { catalog_bytes: 40_000, ..limited(50)(dir) };
    let store = open_store(options(dir.path()));
    grow(&store, "big", 0..300).await;
    trimmed(&store, "big").await;
    for n in 0..500 {
        keep(&store, lines(&format!("task-{n}"), &["x"])).await;
    }
    check_middle_is_hidden(&store, "big", 300).await;
    grow(&store, "big", 300..500).await;
    trimmed(&store, "big").await;
    check_middle_is_hidden(&store, "big", 500).await;
    store.close().await;
    let store = open_store(options(dir.path()));
    check_middle_is_hidden(&store, "big", 500).await;
}

#[tokio::test]
async fn a_deleted_task_begins_anew_without_a_trim() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open_store(limited(50)(dir.path()));
    grow(&store, "big", 0..300).await;
    trimmed(&store, "big").await;
    assert!(delete(&store, "big").await);
    keep(&store, lines("big", &["new"])).await;
    for _ in 0..2 {
        assert_eq!(bodies(&store, "big").await, ["new"]);
        assert_eq!(known(&store, "big").await.unwrap().trimmed_lines, 0);
        store.close().await;
        store = open_store(limited(50)(dir.path()));
    }
    grow(&store, "big", 1..300).await;
    trimmed(&store, "big").await;
    check_middle_is_hidden(&store, "big", 300).await;
}

#[tokio::test]
async fn retention_goes_over_a_trimmed_task_and_every_missing_line_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { retention_bytes: Some(30_000), ..limited(7)(dir.path()) };
    let store = open_store(options);
    for n in 0..30 {
        grow(&store, "big", 20 * n..20 * n + 20).await;
        let Shown { gaps, seen, .. } = shown(&store, "big").await;
        let missing: Vec<_> = gaps.iter().flat_map(|gap| gap.from.0..=gap.to.0).collect();
        let mut told: Vec<_> = missing.into_iter().chain(seen.iter().map(|seen| seen.0)).collect();
        told.sort_unstable();
        assert_eq!(told, (1..store.tail().0).collect::<Vec<_>>());
        let reasons = gaps.iter().all(|gap| ["retention", "task_limit"].contains(&gap.reason));
        assert!(reasons, "{gaps:?}");
    }
    trimmed(&store, "big").await;
}
