//! Random histories on a disk that fails: what was acknowledged is there after every reopening.

use std::collections::HashMap;

use proptest::prelude::*;

use super::faults::FaultyDisk;
use super::*;

#[derive(Debug, Clone)]
enum FaultyStep {
    /// Task, how many lines, how long each is.
    Append(Vec<(u8, u8, u16)>),
    /// The so-manieth write from now fails after so many bytes.
    TearWrite(u64, usize),
    /// The so-manieth sync from now fails.
    FailSync(u64),
    /// Opens the directory as it stands, with or without a close before.
    Reopen { closes: bool },
}

fn faulty_steps() -> impl Strategy<Value = Vec<FaultyStep>> {
    let runs = prop::collection::vec((0..3_u8, 1..4_u8, 0..1500_u16), 1..4);
    let step = prop_oneof![
        8 => runs.prop_map(FaultyStep::Append),
        2 => (1..4_u64, 0..4000_usize).prop_map(|(nth, bytes)| FaultyStep::TearWrite(nth, bytes)),
        2 => (1..4_u64).prop_map(FaultyStep::FailSync),
        3 => any::<bool>().prop_map(|closes| FaultyStep::Reopen { closes }),
    ];
    prop::collection::vec(step, 1..40)
}

/// What has to be there: task and body, in the store's order.
type Entries = Vec<(String, String)>;

/// A store on a failing disk, and what it has to keep.
struct FaultyPlay {
    dir: tempfile::TempDir,
    disk: FaultyDisk,
    store: Store,
    kept: Entries,
    /// What was refused since the last reopening: each may be there, whole or its first part.
    refused: Vec<Entries>,
    appended: u32,
}

impl FaultyPlay {
    fn begin() -> Self {
        let (dir, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
        let store = open_store(Self::options(&dir, &disk));
        Self { dir, disk, store, kept: Vec::new(), refused: Vec::new(), appended: 0 }
    }

    fn options(dir: &tempfile::TempDir, disk: &FaultyDisk) -> StoreOptions {
        StoreOptions {
            segment_bytes: 5000,
            segment_chunks: 12,
            disk: Arc::new(disk.clone()),
            ..StoreOptions::new(dir.path())
        }
    }

    /// A batch of lines that no other has, and its entries as one commit orders them.
    fn batch(&mut self, runs: &[(u8, u8, u16)]) -> (Batch, Entries) {
        let (mut batch, mut order) = (Batch::default(), Vec::new());
        let mut by_task: HashMap<u8, Entries> = HashMap::new();
        for &(task, count, size) in runs {
            let bodies: Vec<_> = (0..count)
                .map(|_| {
                    self.appended += 1;
                    format!("{}:{}", self.appended, "z".repeat(size.into()))
                })
                .collect();
            let records: Vec<_> = bodies.iter().map(|body| (Kind::Log, body.as_str())).collect();
            batch.runs.push(run(&task.to_string(), "w", None, &records));
            if !order.contains(&task) {
                order.push(task);
            }
            let entries = bodies.into_iter().map(|body| (task.to_string(), body));
            by_task.entry(task).or_default().extend(entries);
        }
        let entries = order.iter().flat_map(|task| by_task[task].clone()).collect();
        (batch, entries)
    }

    async fn append(&mut self, runs: &[(u8, u8, u16)]) {
        let (batch, entries) = self.batch(runs);
        let outcome = match self.store.append(batch).await {
            Ok(receipt) => receipt.await.map(drop),
            Err(refused) => Err(refused),
        };
        match outcome {
            Ok(()) => {
                assert!(self.refused.is_empty(), "a store that has failed took more");
                self.kept.extend(entries);
            }
            Err(_) => self.refused.push(entries),
        }
        self.check(RefusedEntry::Hidden).await;
    }

    async fn reopen(&mut self, closes: bool) {
        if closes {
            self.store.close().await;
        } else {
            let copy = copy_dir(self.dir.path());
            self.store.close().await;
            self.dir = copy;
        }
        self.disk = FaultyDisk::default();
        self.store = open_store(Self::options(&self.dir, &self.disk));
        self.check(RefusedEntry::Possible).await;
    }

    /// Reads everything; what was refused is never seen before a reopening, and after it only
    /// as the first part of the one commit that failed.
    async fn check(&mut self, refused: RefusedEntry) {
        let (_, seen) = read_all(&self.store, Scope::All, 1, 1 << 20).await.unwrap();
        let seen: Vec<_> = seen.into_iter().map(|(_, task, _, body)| (task, body)).collect();
        assert!(seen.starts_with(&self.kept), "{} kept, {} seen", self.kept.len(), seen.len());
        let more = &seen[self.kept.len()..];
        match refused {
            RefusedEntry::Hidden => assert!(more.is_empty(), "a refused entry is shown: {more:?}"),
            RefusedEntry::Possible => {
                let is_start = |batch: &Entries| batch.starts_with(more);
                let is_known = more.is_empty() || self.refused.iter().any(is_start);
                assert!(is_known, "nobody appended {more:?}");
                self.kept = seen;
                self.refused.clear();
            }
        }
    }
}

#[derive(Clone, Copy)]
enum RefusedEntry {
    Hidden,
    Possible,
}

async fn play_faulty(steps: Vec<FaultyStep>) {
    let mut play = FaultyPlay::begin();
    for step in steps {
        match step {
            FaultyStep::Append(runs) => play.append(&runs).await,
            FaultyStep::TearWrite(nth, bytes) => play.disk.tear_write(nth, bytes),
            FaultyStep::FailSync(nth) => play.disk.fail_sync(nth),
            FaultyStep::Reopen { closes } => play.reopen(closes).await,
        }
    }
    play.reopen(true).await;
    play.append(&[(0, 1, 10)]).await;
    assert!(play.refused.is_empty(), "a store that was opened anew takes nothing");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_was_acknowledged_survives_any_order_of_failed_writes_syncs_and_reopenings(
        steps in faulty_steps(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play_faulty(steps));
    }
}
