//! A disk that is held up, and one that fails.

use super::faults::FaultyDisk;
use super::*;

fn faulty(dir: &Path) -> (FaultyDisk, StoreOptions) {
    let disk = FaultyDisk::default();
    (disk.clone(), StoreOptions { disk: Arc::new(disk), ..StoreOptions::new(dir) })
}

/// Resolves once the store takes nothing more.
async fn failed(store: &Store) {
    store.write_state().wait_for(|state| state.failure().is_some()).await.unwrap();
}

#[tokio::test]
async fn a_held_disk_pushes_back_and_nothing_is_lost_once_it_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, options) = faulty(dir.path());
    let store = open_store(StoreOptions { queue_bytes: 4096, ..options });
    disk.hold();
    let mut receipts = Vec::new();
    let refused = loop {
        match store.try_append(lines("a", &[&receipts.len().to_string()])) {
            Ok(receipt) => receipts.push(receipt),
            Err(refused) => break refused,
        }
    };
    let TryAppendError::Full(batch) = refused else { panic!("refused with {refused:?}") };
    assert!(store.pressure() > 0.9);
    disk.wait_until_held();
    assert_eq!(store.tail(), Offset::FIRST);
    let waiting = store.append(batch);
    disk.release();
    receipts.push(waiting.await.unwrap());
    let count = receipts.len();
    for receipt in receipts {
        assert_eq!(receipt.await.unwrap().kept, 1);
    }
    let expected: Vec<_> = (0..count).map(|n| n.to_string()).collect();
    assert_eq!(bodies(&store, "a").await, expected);
}

#[tokio::test]
async fn a_batch_greater_than_the_queue_is_taken_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(StoreOptions { queue_bytes: 1000, ..StoreOptions::new(dir.path()) });
    let big = "x".repeat(50_000);
    keep(&store, lines("a", &[&big])).await;
    assert_eq!(bodies(&store, "a").await, [big]);
    assert!(store.pressure() < 0.01);
}

#[tokio::test]
async fn an_append_dropped_while_it_waits_queues_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, options) = faulty(dir.path());
    let store = open_store(StoreOptions { queue_bytes: 100, ..options });
    disk.hold();
    let first = store.try_append(lines("a", &["1"])).unwrap();
    let mut waiting = store.append(lines("a", &["never"]));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    drop(waiting);
    disk.release();
    first.await.unwrap();
    keep(&store, lines("a", &["2"])).await;
    assert_eq!(bodies(&store, "a").await, ["1", "2"]);
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_taken_and_the_first_reason_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, options) = faulty(dir.path());
    let store = open_store(options);
    keep(&store, lines("a", &["kept"])).await;
    let mut state = store.write_state();
    assert_eq!(*state.borrow(), WriteState::Ok);
    disk.hold();
    disk.fail_sync(1);
    let first = store.try_append(lines("a", &["1"])).unwrap();
    disk.wait_until_held();
    let queued = store.try_append(lines("a", &["2"])).unwrap();
    disk.release();
    let reason: Arc<str> = "a commit failed: the disk was told to fail this sync".into();
    let poisoned = AppendError::Poisoned { reason: reason.clone() };
    assert_eq!(first.await, Err(poisoned.clone()));
    assert_eq!(queued.await, Err(poisoned.clone()));
    assert_eq!(store.append(lines("a", &["3"])).await.err(), Some(poisoned));
    state.changed().await.unwrap();
    assert_eq!(*state.borrow(), WriteState::Failed(reason));
    let writes = disk.writes();
    assert_eq!(bodies(&store, "a").await, ["kept"], "reads stopped, or show what is not durable");
    store.close().await;
    assert_eq!(disk.writes(), writes, "a poisoned store wrote on");
}

#[tokio::test]
async fn a_torn_write_poisons_and_is_cut_at_the_next_opening() {
    for bytes in [0, 1, 50, 85] {
        let dir = tempfile::tempdir().unwrap();
        let (disk, options) = faulty(dir.path());
        let store = open_store(options.clone());
        keep(&store, lines("a", &["kept"])).await;
        disk.tear_write(1, bytes);
        let torn = store.append(lines("a", &["torn"])).await.unwrap().await;
        assert!(matches!(torn, Err(AppendError::Poisoned { .. })), "{torn:?}");
        store.close().await;
        let store = open_store(StoreOptions::new(dir.path()));
        assert_eq!(bodies(&store, "a").await, ["kept"]);
        keep(&store, lines("a", &["on"])).await;
        assert_eq!(bodies(&store, "a").await, ["kept", "on"]);
    }
}

#[tokio::test]
async fn a_segment_that_cannot_be_sealed_poisons_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, options) = faulty(dir.path());
    let store = open_store(StoreOptions { segment_chunks: 2, ..options });
    keep(&store, lines("a", &["1"])).await;
    disk.fail_write(2);
    keep(&store, lines("a", &["2"])).await;
    failed(&store).await;
    store.close().await;
    assert_eq!(bodies(&open_store(StoreOptions::new(dir.path())), "a").await, ["1", "2"]);
}

#[tokio::test]
async fn a_panic_on_the_committers_thread_poisons() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(StoreOptions::new(dir.path()), Box::new(|_, _| panic!("a test"))).unwrap();
    let receipt = store.append(lines("a", &["1"])).await.unwrap();
    assert!(receipt.await.is_err());
    failed(&store).await;
    let refused = store.append(lines("a", &["2"])).await.err();
    assert!(matches!(refused, Some(AppendError::Poisoned { .. })), "{refused:?}");
}
