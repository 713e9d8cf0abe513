//! Faults that pass: a full disk, a used-up quota, no descriptors, too little free, a disk that hangs.

use std::time::Duration;

use rustix::io::Errno;

use super::faults::FaultyDisk;
use super::*;
use crate::store::WriteState;

const FAULTS: [Errno; 4] = [Errno::NOSPC, Errno::DQUOT, Errno::MFILE, Errno::NFILE];

fn faulty(dir: &Path) -> (FaultyDisk, StoreOptions) {
    let disk = FaultyDisk::default();
    (disk.clone(), StoreOptions { disk: Arc::new(disk), ..StoreOptions::new(dir) })
}

fn refuse(disk: &FaultyDisk, errno: Errno) {
    disk.refuse(errno.raw_os_error());
}

/// The reason that is told once the store waits.
async fn waiting(store: &Store) -> String {
    let mut state = store.write_state();
    let told = state.wait_for(|state| !state.is_ok()).await.unwrap();
    assert!(told.is_waiting(), "{told:?}");
    told.reason().unwrap().to_string()
}

async fn going_on(store: &Store) {
    store.write_state().wait_for(WriteState::is_ok).await.unwrap();
}

async fn failed(store: &Store) -> String {
    let mut state = store.write_state();
    let told = state.wait_for(|state| state.failure().is_some()).await.unwrap();
    told.reason().unwrap().to_string()
}

/// Lets the committer try a few times.
async fn let_it_try(disk: &FaultyDisk, times: u64) {
    let disk = disk.clone();
    tokio::task::spawn_blocking(move || disk.wait_until_refused(times)).await.unwrap();
}

#[tokio::test]
async fn a_commit_waits_for_the_fault_to_pass_and_nothing_is_lost_or_doubled() {
    for errno in FAULTS {
        let dir = tempfile::tempdir().unwrap();
        let (disk, options) = faulty(dir.path());
        let store = open_store(options);
        keep(&store, lines("a", &["before"])).await;
        refuse(&disk, errno);
        let first = store.append(lines("a", &["1", "2"])).await.unwrap();
        waiting(&store).await;
        let second = store.append(numbered("a", "s", &[3])).await.unwrap();
        let_it_try(&disk, 3).await;
        assert_eq!(bodies(&store, "a").await, ["before"], "readers are held up, or see too much");
        disk.allow();
        assert_eq!(first.await.unwrap().kept, 2);
        assert_eq!(second.await.unwrap().kept, 1);
        going_on(&store).await;
        assert_eq!(bodies(&store, "a").await, ["before", "1", "2", "3"]);
        store.close().await;
        let store = open_store(StoreOptions::new(dir.path()));
        assert_eq!(bodies(&store, "a").await, ["before", "1", "2", "3"]);
    }
}

#[tokio::test]
async fn a_process_that_dies_while_it_waits_leaves_what_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, options) = faulty(dir.path());
    let store = open_store(options);
    keep(&store, lines("a", &["kept"])).await;
    refuse(&disk, Errno::NOSPC);
    let waits = store.append(lines("a", &["never told"])).await.unwrap();
    waiting(&store).await;
    let left = copy_dir(dir.path());
    assert_eq!(bodies(&open_store(StoreOptions::new(left.path())), "a").await, ["kept"]);
    disk.allow();
    waits.await.unwrap();
}

#[tokio::test]
async fn the_queue_fills_while_the_store_waits_and_is_kept_in_order_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, options) = faulty(dir.path());
    let store = open_store(StoreOptions { queue_bytes: 4096, ..options });
    refuse(&disk, Errno::NOSPC);
    let mut receipts = Vec::new();
    while let Ok(receipt) = store.try_append(lines("a", &[&receipts.len().to_string()])) {
        receipts.push(receipt);
        tokio::task::yield_now().await;
    }
    waiting(&store).await;
    assert!(store.pressure() > 0.9, "what waits has left the queue's bound");
    disk.allow();
    let expected: Vec<_> = (0..receipts.len()).map(|n| n.to_string()).collect();
    for receipt in receipts {
        assert_eq!(receipt.await.unwrap().kept, 1);
    }
    assert_eq!(bodies(&store, "a").await, expected);
}

#[tokio::test]
async fn a_segment_that_cannot_be_sealed_or_begun_is_waited_for() {
    for errno in FAULTS {
        let dir = tempfile::tempdir().unwrap();
        let (disk, options) = faulty(dir.path());
        let store = open_store(StoreOptions { segment_chunks: 2, ..options });
        keep(&store, lines("a", &["1"])).await;
        disk.hold();
        let second = store.append(lines("a", &["2"])).await.unwrap();
        // Released while the commit's write is under way, so that the footer is the first refused.
        tokio::task::spawn_blocking({
            let disk = disk.clone();
            move || disk.wait_until_held()
        })
        .await
        .unwrap();
        refuse(&disk, errno);
        disk.release();
        second.await.unwrap();
        waiting(&store).await;
        assert_eq!(bodies(&store, "a").await, ["1", "2"]);
        disk.allow();
        going_on(&store).await;
        keep(&store, lines("a", &["3"])).await;
        store.close().await;
        let store = open_store(StoreOptions::new(dir.path()));
        assert_eq!(bodies(&store, "a").await, ["1", "2", "3"]);
        assert_eq!(segment_files(dir.path()).len(), 2);
    }
}

#[tokio::test]
async fn a_store_opened_without_room_for_a_segment_serves_readers_and_goes_on_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(StoreOptions { segment_chunks: 1, ..StoreOptions::new(dir.path()) });
    keep(&store, lines("a", &["1"])).await;
    store.close().await;
    // As if there had been no inode for it.
    fs::remove_file(segment_files(dir.path()).pop().unwrap()).unwrap();
    let (disk, options) = faulty(dir.path());
    refuse(&disk, Errno::NOSPC);
    let store = open_store(options);
    waiting(&store).await;
    assert_eq!(bodies(&store, "a").await, ["1"]);
    let second = store.append(lines("a", &["2"])).await.unwrap();
    let_it_try(&disk, 2).await;
    disk.allow();
    second.await.unwrap();
    going_on(&store).await;
    assert_eq!(bodies(&store, "a").await, ["1", "2"]);
}

#[tokio::test]
async fn a_close_does_not_wait_for_the_disk_and_acknowledges_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, options) = faulty(dir.path());
    let store = open_store(options);
    keep(&store, lines("a", &["kept"])).await;
    refuse(&disk, Errno::NOSPC);
    let first = store.append(lines("a", &["1"])).await.unwrap();
    waiting(&store).await;
    let second = store.append(lines("a", &["2"])).await.unwrap();
    store.close().await;
    assert_eq!(first.await, Err(AppendError::Closed));
    assert_eq!(second.await, Err(AppendError::Closed));
    disk.allow();
    let store = open_store(StoreOptions::new(dir.path()));
    assert_eq!(bodies(&store, "a").await, ["kept"]);
}

#[tokio::test]
async fn a_rollback_that_fails_poisons_and_the_next_opening_cuts_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, options) = faulty(dir.path());
    let store = open_store(options);
    keep(&store, lines("a", &["kept"])).await;
    disk.refuse_truncation();
    refuse(&disk, Errno::NOSPC);
    let torn = store.append(lines("a", &["torn"])).await.unwrap();
    assert_eq!(failed(&store).await, "a commit failed: the disk was told to refuse truncation");
    assert!(matches!(torn.await, Err(AppendError::Poisoned { .. })));
    store.close().await;
    assert_eq!(bodies(&open_store(StoreOptions::new(dir.path())), "a").await, ["kept"]);
}

fn room(free_bytes: u64) -> Room {
    Room { free_bytes, total_bytes: 1 << 30, free_files: 1 << 20 }
}

#[tokio::test]
async fn with_less_free_than_is_to_stay_free_the_store_waits_also_when_it_is_idle() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, options) = faulty(dir.path());
    disk.set_room(room(64 << 20));
    let store = open_store(StoreOptions { min_free_bytes: Some(32 << 20), ..options });
    keep(&store, lines("a", &["1"])).await;
    disk.set_room(room(31 << 20));
    let reason = waiting(&store).await;
    assert_eq!(reason, "the disk is almost full: 31.0 MiB are free, min-free-bytes is 32.0 MiB");
    let second = store.append(lines("a", &["2"])).await.unwrap();
    assert_eq!(bodies(&store, "a").await, ["1"]);
    disk.set_room(room(32 << 20));
    second.await.unwrap();
    going_on(&store).await;
}

#[tokio::test]
async fn a_twentieth_of_the_volume_stays_free_by_default() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, options) = faulty(dir.path());
    disk.set_room(room((1 << 30) / 20 - 1));
    let store = open_store(StoreOptions { min_free_bytes: None, ..options });
    waiting(&store).await;
    disk.set_room(room((1 << 30) / 20));
    going_on(&store).await;
}

#[tokio::test]
async fn a_volume_smaller_than_what_is_to_stay_free_is_refused_with_both_values() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, options) = faulty(dir.path());
    disk.set_room(room(1 << 29));
    let refused = recover(StoreOptions { min_free_bytes: Some(2 << 30), ..options });
    let expected = format!(
        "min-free-bytes is 2.0 GiB, and the whole volume of {} has 1.0 GiB",
        dir.path().display()
    );
    assert_eq!(refused.unwrap_err().to_string(), expected);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "something was changed");
}

#[tokio::test]
async fn a_retention_that_the_volume_cannot_hold_is_refused_with_both_values() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, options) = faulty(dir.path());
    disk.set_room(room(1 << 29));
    let retention_bytes = Some(1 << 30);
    let refused =
        recover(StoreOptions { retention_bytes, min_free_bytes: Some(256 << 20), ..options });
    let expected = format!(
        "retention-bytes is 1.0 GiB, and the whole volume of {} has 1.0 GiB, of which \
         min-free-bytes keeps 256.0 MiB free",
        dir.path().display()
    );
    assert_eq!(refused.unwrap_err().to_string(), expected);
}

#[tokio::test]
async fn retention_may_make_the_room_that_a_commit_waits_for() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, options) = faulty(dir.path());
    let options = StoreOptions { segment_chunks: 1, ..options };
    let store = open_store(options.clone());
    for body in ["1", "2", "3"] {
        keep(&store, lines("a", &[body])).await;
    }
    store.close().await;
    refuse(&disk, Errno::NOSPC);
    let bytes = fs::metadata(&segment_files(dir.path())[0]).unwrap().len();
    let store = open_store(StoreOptions { retention_bytes: Some(2 * bytes), ..options });
    let fourth = store.append(lines("a", &["4"])).await.unwrap();
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    while segment_files(dir.path()).len() > 2 {
        ticks.tick().await;
    }
    disk.allow();
    fourth.await.unwrap();
    let (gaps, seen) = read_all(&store, Scope::Task(task("a")), 1, 1 << 20).await.unwrap();
    assert_eq!(gaps.len(), 1);
    let lines: Vec<_> = seen.iter().map(|(_, _, line, _)| line.unwrap()).collect();
    assert!(lines.ends_with(&[4]) && lines.is_sorted(), "{lines:?}");
}

#[tokio::test]
async fn a_disk_that_hangs_is_told_and_that_it_goes_on_too() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, options) = faulty(dir.path());
    let store = open_store(StoreOptions { stall_timeout: Duration::from_millis(20), ..options });
    keep(&store, lines("a", &["1"])).await;
    disk.hold();
    let second = store.append(lines("a", &["2"])).await.unwrap();
    assert_eq!(waiting(&store).await, "a commit has waited 0 s for the disk");
    disk.release();
    second.await.unwrap();
    going_on(&store).await;
}

#[tokio::test]
async fn a_directory_that_is_removed_or_replaced_under_the_store_is_a_failed_write() {
    type Change = fn(&Path);
    let removed: Change = |dir| fs::remove_dir_all(dir).unwrap();
    let replaced: Change = |dir| {
        fs::copy(dir.join("META"), dir.join("other")).unwrap();
        fs::rename(dir.join("other"), dir.join("META")).unwrap();
    };
    let segment_gone: Change = |dir| fs::remove_file(&segment_files(dir)[0]).unwrap();
    for (change, expected) in [
        (removed, "META was removed"),
        (replaced, "META is another file than before"),
        (segment_gone, "00000000000000000001.seg was removed"),
    ] {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("data");
        let store = open_store(StoreOptions::new(&dir));
        keep(&store, lines("a", &["1"])).await;
        change(&dir);
        let reason = failed(&store).await;
        assert!(reason.ends_with(expected), "{reason}");
        let refused = match store.append(lines("a", &["2"])).await {
            Ok(queued) => queued.await,
            Err(error) => Err(error),
        };
        assert!(matches!(refused, Err(AppendError::Poisoned { .. })), "{refused:?}");
    }
}
