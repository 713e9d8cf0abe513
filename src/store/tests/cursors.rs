//! Cursors of pulled sources are as durable as the entries they stand for.

use std::time::Duration;

use super::*;
use crate::domain::Cursor;

fn cursor(source: &str, number: u64) -> Cursor {
    Cursor { source: source.into(), number }
}

fn pulled(body: &str, source: &str, number: u64) -> Batch {
    Batch { cursor: Some(cursor(source, number)), ..lines("a", &[body]) }
}

#[tokio::test]
async fn a_cursor_is_known_after_a_kill_exactly_as_far_as_its_entries() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(StoreOptions::new(dir.path()));
    let segment = segment_files(dir.path()).remove(0);
    let mut ends = vec![fs::metadata(&segment).unwrap().len() as usize];
    for number in 1..=3 {
        keep(&store, pulled(&number.to_string(), "s", number)).await;
        ends.push(fs::metadata(&segment).unwrap().len() as usize);
    }
    let bytes = fs::read(&segment).unwrap();
    for end in ends[0]..=ends[3] {
        let copy = copy_dir(dir.path());
        fs::write(copy.path().join(segment.file_name().unwrap()), &bytes[..end]).unwrap();
        let whole = ends.iter().filter(|commit| **commit <= end).count() as u64 - 1;
        let store = open_store(StoreOptions::new(copy.path()));
        let (_, seen) = read_all(&store, Scope::All, 1, 1 << 20).await.unwrap();
        assert_eq!(seen.len() as u64, whole, "torn at {end}");
        let known = store.cursors().last().map_or(0, |cursor| cursor.number);
        assert_eq!(known, whole, "torn at {end}");
        store.close().await;
    }
    store.close().await;
}

#[tokio::test]
async fn cursors_of_several_sources_survive_sealing_closing_and_reopening() {
    for segment_chunks in [1, 3, 1000] {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions { segment_chunks, ..StoreOptions::new(dir.path()) };
        let store = open_store(options.clone());
        for number in 1..=5 {
            keep(&store, pulled("x", "one", number)).await;
        }
        keep(&store, pulled("y", "two", 7)).await;
        keep(&store, lines("b", &["pushed"])).await;
        let expected = [cursor("one", 5), cursor("two", 7)];
        assert_eq!(store.cursors(), expected);
        let killed = copy_dir(dir.path());
        store.close().await;
        for dir in [killed.path(), dir.path()] {
            let store = open_store(StoreOptions { dir: dir.into(), ..options.clone() });
            assert_eq!(store.cursors(), expected, "{segment_chunks} chunks a segment");
            keep(&store, lines("b", &["more"])).await;
            assert_eq!(read_all(&store, Scope::All, 1, 100).await.unwrap().1.len(), 8);
            store.close().await;
        }
    }
}

#[tokio::test]
async fn a_cursor_outlives_all_its_entries() {
    let dir = tempfile::tempdir().unwrap();
    // Too short for anything: every segment is sealed and dropped.
    let retention_age = Some(Duration::from_millis(50));
    let options = StoreOptions { retention_age, ..StoreOptions::new(dir.path()) };
    let store = open_store(options.clone());
    keep(&store, pulled("x", "s", 41)).await;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    while !all_tasks(&store).await.is_empty() {
        ticks.tick().await;
    }
    let killed = copy_dir(dir.path());
    store.close().await;
    for dir in [killed.path(), dir.path()] {
        let store = open_store(StoreOptions { dir: dir.into(), ..options.clone() });
        assert_eq!((store.cursors(), store.tail()), (vec![cursor("s", 41)], Offset(2)));
        store.close().await;
    }
}

#[tokio::test]
async fn a_batch_of_repeats_moves_the_cursor_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(StoreOptions::new(dir.path()));
    keep(&store, numbered("a", "session", &[1, 2])).await;
    let before = store.stats().written_bytes;
    let again = Batch { cursor: Some(cursor("s", 2)), ..numbered("a", "session", &[1, 2]) };
    assert_eq!(keep(&store, again).await, Committed { kept: 0, repeated: 2 });
    assert_eq!(store.cursors(), [cursor("s", 2)]);
    assert_eq!(store.stats().written_bytes, before);
    store.close().await;
}

#[tokio::test]
async fn a_store_in_memory_knows_its_cursors() {
    let store = open_store(StoreOptions::in_memory());
    keep(&store, pulled("x", "s", 3)).await;
    assert_eq!(store.cursors(), [cursor("s", 3)]);
    store.close().await;
}
