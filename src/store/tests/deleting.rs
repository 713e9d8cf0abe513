//! What a deletion takes, and that it stays taken.

use rustix::io::Errno;

use super::faults::FaultyDisk;
use super::*;
use crate::store::format::SEGMENT_HEADER_BYTES;

/// Tasks `a`, `b`, `a` and `b` with two lines each, of which `a` is deleted.
async fn with_a_deleted(options: StoreOptions) -> Store {
    let store = open_store(options);
    for (task, bodies) in
        [("a", ["1", "2"]), ("b", ["1", "2"]), ("a", ["3", "4"]), ("b", ["3", "4"])]
    {
        keep(&store, lines(task, &bodies)).await;
    }
    assert!(delete(&store, "a").await);
    store
}

fn deleted(from: u64, to: u64) -> Gap {
    Gap { from: Offset(from), to: Offset(to), lines: None, reason: "deleted" }
}

/// Checks that nothing leads to `a`, and that `b` is whole.
async fn check_a_is_gone(store: &Store) {
    assert_eq!(known(store, "a").await, None);
    let worker = WorkerId::new("w").unwrap();
    assert_eq!(store.workers(task("a"), 0, 10).await, Ok(vec![]));
    assert_eq!(store.worker(task("a"), worker).await, Ok(None));
    let listed = all_tasks(store).await;
    assert_eq!(listed.iter().map(|known| known.task.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(bodies(store, "a").await, [""; 0]);
    assert_eq!(bodies(store, "b").await, ["1", "2", "3", "4"]);
    assert_eq!(store.locate(task("a"), 2).await, Ok(store.tail()));
    assert_eq!(store.locate(task("b"), 3).await, Ok(Offset(7)));
    for max_bytes in [1, 1 << 20] {
        let (gaps, seen) = read_all(store, Scope::All, 1, max_bytes).await.unwrap();
        assert_eq!(merged(gaps), [deleted(1, 2), deleted(5, 6)]);
        assert_eq!(seen.iter().map(|seen| seen.0).collect::<Vec<_>>(), [3, 4, 7, 8]);
        let (gaps, seen) = read_all(store, Scope::Task(task("a")), 2, max_bytes).await.unwrap();
        assert_eq!((gaps, seen), (vec![deleted(2, 8)], vec![]));
    }
}

/// Checks that `a` begins anew, and deletes it again.
async fn check_a_begins_anew(store: &Store) {
    keep(store, lines("a", &["new"])).await;
    let (gaps, seen) = read_all(store, Scope::Task(task("a")), 1, 1 << 20).await.unwrap();
    assert_eq!((gaps, seen.len()), (vec![], 1));
    assert_eq!((seen[0].2, seen[0].3.as_str()), (Some(1), "new"));
    let (gaps, seen) = read_all(store, Scope::Task(task("a")), 2, 1 << 20).await.unwrap();
    assert_eq!((gaps.len(), seen.len()), (1, 1), "an old reader learns what is gone");
    assert_eq!((gaps[0].from, gaps[0].reason), (Offset(2), "deleted"));
    let first = known(store, "a").await.unwrap();
    assert_eq!((first.first_line, first.last_line, first.worker_counts.total), (1, 1, 1));
    assert_eq!(store.locate(task("a"), 1).await, Ok(first.first_offset));
}

/// Segments of so many chunks.
fn segments_of(chunks: usize) -> impl Fn(&Path) -> StoreOptions {
    move |dir| StoreOptions { segment_chunks: chunks, ..StoreOptions::new(dir) }
}

#[tokio::test]
async fn a_deleted_task_is_gone_at_once_and_after_a_restart_a_kill_or_a_new_index() {
    for chunks in [1, 3, 1000] {
        let options = segments_of(chunks);
        let dir = tempfile::tempdir().unwrap();
        let store = with_a_deleted(options(dir.path())).await;
        check_a_is_gone(&store).await;
        let killed = copy_dir(dir.path());
        store.close().await;
        let closed = copy_dir(dir.path());
        let without_index = copy_dir(dir.path());
        fs::remove_file(without_index.path().join("TASKS")).unwrap();
        for dir in [killed, closed, without_index] {
            let store = open_store(options(dir.path()));
            check_a_is_gone(&store).await;
            check_a_begins_anew(&store).await;
            store.close().await;
            let store = open_store(options(dir.path()));
            assert_eq!(bodies(&store, "a").await, ["new"], "{chunks} chunks a segment");
            assert!(delete(&store, "a").await);
            store.close().await;
            let store = open_store(options(dir.path()));
            check_a_is_gone_again(&store).await;
        }
    }
}

async fn check_a_is_gone_again(store: &Store) {
    assert_eq!(known(store, "a").await, None);
    assert_eq!(bodies(store, "b").await, ["1", "2", "3", "4"]);
    let (gaps, _) = read_all(store, Scope::All, 1, 1 << 20).await.unwrap();
    assert_eq!(merged(gaps), [deleted(1, 2), deleted(5, 6), deleted(9, 9)]);
}

#[tokio::test]
async fn without_files_a_deleted_task_is_gone_and_begins_anew() {
    let store = with_a_deleted(StoreOptions::in_memory()).await;
    check_a_is_gone(&store).await;
    check_a_begins_anew(&store).await;
}

#[tokio::test]
async fn a_task_that_got_another_entry_or_is_unknown_is_not_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(StoreOptions::new(dir.path()));
    keep(&store, lines("a", &["1"])).await;
    let end = |id: &str, last| TaskEnd { task: task(id), last: Offset(last) };
    keep(&store, lines("a", &["2"])).await;
    assert_eq!(store.delete(vec![end("a", 1), end("b", 1)]).await, Ok(0));
    assert_eq!(bodies(&store, "a").await, ["1", "2"]);
    assert_eq!(store.delete(vec![end("a", 2)]).await, Ok(1));
    assert_eq!(store.delete(vec![end("a", 2)]).await, Ok(0), "it is gone already");
    assert_eq!(store.stats().deleted_tasks, 1);
}

#[tokio::test]
async fn a_new_task_of_the_same_id_does_not_know_the_numbers_of_the_deleted_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(StoreOptions::new(dir.path()));
    keep(&store, numbered("a", "s", &[1, 2])).await;
    assert!(delete(&store, "a").await);
    assert_eq!(keep(&store, numbered("a", "s", &[1, 2])).await.kept, 2);
    assert_eq!(known(&store, "a").await.unwrap().last_line, 2);
}

#[tokio::test]
async fn a_deletion_is_forgotten_only_with_the_segment_that_has_it_and_so_after_its_entries() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_a_deleted(segments_of(1)(dir.path())).await;
    for n in 0..6 {
        keep(&store, lines("b", &[&n.to_string()])).await;
    }
    store.close().await;
    let total = segment_files(dir.path()).len();
    for kept in (1..total).rev() {
        let newest: Vec<_> = segment_files(dir.path());
        // The last one is the active segment, of which only the header counts.
        let sealed = newest.iter().rev().skip(1).take(kept - 1);
        let bytes: u64 = sealed.map(|file| fs::metadata(file).unwrap().len()).sum();
        let bytes = bytes + SEGMENT_HEADER_BYTES as u64;
        let options = segments_of(1)(dir.path());
        let store = open_store(StoreOptions { retention_bytes: Some(bytes), ..options });
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
        while store.stats().segments > kept {
            ticks.tick().await;
        }
        assert_eq!(known(&store, "a").await, None, "{kept} segments are kept");
        let (gaps, seen) = read_all(&store, Scope::All, 1, 1 << 20).await.unwrap();
        assert!(seen.iter().all(|seen| seen.1 == "b"), "{kept} segments are kept");
        assert_eq!(gaps.first().map(|gap| gap.reason), Some("retention"));
        store.close().await;
        fs::remove_file(dir.path().join("TASKS")).unwrap();
    }
}

#[tokio::test]
async fn a_deletion_waits_while_the_disk_is_full_and_is_made_between_what_was_queued() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let store =
        open_store(StoreOptions { disk: Arc::new(disk.clone()), ..StoreOptions::new(dir.path()) });
    keep(&store, lines("a", &["1"])).await;
    disk.refuse(Errno::NOSPC.raw_os_error());
    let before = store.append(lines("b", &["1"])).await.unwrap();
    let end = TaskEnd { task: task("a"), last: Offset(1) };
    let deleting = tokio::spawn(store.delete(vec![end]));
    store.write_state().wait_for(|state| state.is_waiting()).await.unwrap();
    assert_eq!(bodies(&store, "a").await, ["1"]);
    disk.allow();
    assert_eq!(before.await.unwrap().kept, 1);
    assert_eq!(deleting.await.unwrap(), Ok(1));
    keep(&store, lines("a", &["new"])).await;
    store.close().await;
    let store = open_store(StoreOptions::new(dir.path()));
    assert_eq!(
        (bodies(&store, "a").await, bodies(&store, "b").await),
        (vec!["new".into()], vec!["1".into()])
    );
}

#[tokio::test]
async fn a_deletion_that_is_torn_at_any_byte_is_none_and_one_that_is_whole_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(StoreOptions::new(dir.path()));
    for id in ["a", "b", "c"] {
        keep(&store, lines(id, &["1"])).await;
    }
    let file = segment_files(dir.path()).pop().unwrap();
    let before = fs::read(&file).unwrap().len();
    let ends =
        [("a", 1), ("b", 2)].map(|(id, last)| TaskEnd { task: task(id), last: Offset(last) });
    assert_eq!(store.delete(ends.into()).await, Ok(2));
    let whole = fs::read(&file).unwrap();
    for end in before..=whole.len() {
        let copy = copy_dir(dir.path());
        fs::write(copy.path().join(file.file_name().unwrap()), &whole[..end]).unwrap();
        let store = open_store(StoreOptions::new(copy.path()));
        let left: Vec<_> = all_tasks(&store).await.into_iter().map(|known| known.task).collect();
        let expected = if end < whole.len() { vec!["c", "b", "a"] } else { vec!["c"] };
        assert_eq!(left, expected.into_iter().map(task).collect::<Vec<_>>(), "torn at {end}");
    }
}

#[tokio::test]
async fn a_deletion_whose_sync_fails_is_not_told_as_made() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let store =
        open_store(StoreOptions { disk: Arc::new(disk.clone()), ..StoreOptions::new(dir.path()) });
    keep(&store, lines("a", &["1"])).await;
    // The first one makes durable what stands before the tombstone.
    disk.fail_sync(2);
    let end = TaskEnd { task: task("a"), last: Offset(1) };
    let failed = store.delete(vec![end]).await.unwrap_err();
    assert!(matches!(failed, DeleteError::Append(AppendError::Poisoned { .. })), "{failed}");
    assert_eq!(bodies(&store, "a").await, ["1"]);
}
