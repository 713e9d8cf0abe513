//! Random histories against a plain list.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Operation {
    Append(Vec<(u8, u8, u16)>),
    Read(u8, u64, usize),
    Delete(u8),
    Close,
    Kill,
}

fn steps() -> impl Strategy<Value = Vec<Operation>> {
    let runs = prop::collection::vec((0..4_u8, 1..5_u8, 0..3000_u16), 1..6);
    let step = prop_oneof![
        6 => runs.prop_map(Operation::Append),
        4 => (0..5_u8, 1..60_u64, 1..5000_usize).prop_map(|(t, from, max)| Operation::Read(t, from, max)),
        2 => (0..4_u8).prop_map(Operation::Delete),
        1 => Just(Operation::Close),
        1 => Just(Operation::Kill),
    ];
    prop::collection::vec(step, 1..40)
}

/// What should be kept.
#[derive(Default)]
struct Model {
    entries: Vec<Seen>,
    lines: [u64; 4],
    /// Entries of each task below it are deleted.
    deleted_to: [u64; 4],
}

impl Model {
    /// Appends runs as one commit does: each task's together, tasks by first appearance.
    fn append(&mut self, runs: &[(u8, u8, u16)]) -> Batch {
        let mut batch = Batch::default();
        let mut order: Vec<u8> = Vec::new();
        for &(task, count, size) in runs {
            let body = format!("{size}:{}", "y".repeat(size.into()));
            let records = vec![(Kind::Log, body.as_str()); count.into()];
            batch.runs.push(run(&task.to_string(), "w", None, &records));
            if !order.contains(&task) {
                order.push(task);
            }
        }
        for task in order {
            for run in batch.runs.iter().filter(|run| run.task.as_str() == task.to_string()) {
                for (_, body) in run.records.iter() {
                    self.lines[usize::from(task)] += 1;
                    let body = String::from_utf8(body.to_vec()).unwrap();
                    let offset = self.entries.len() as u64 + 1;
                    let line = Some(self.lines[usize::from(task)]);
                    self.entries.push((offset, task.to_string(), line, body));
                }
            }
        }
        batch
    }

    /// Whether there was something to delete.
    fn delete(&mut self, task: u8) -> bool {
        let is_there = self.lines[usize::from(task)] > 0;
        if is_there {
            self.lines[usize::from(task)] = 0;
            self.deleted_to[usize::from(task)] = self.entries.len() as u64 + 1;
        }
        is_there
    }

    fn is_deleted(&self, entry: &Seen) -> bool {
        entry.0 < self.deleted_to[entry.1.parse::<usize>().unwrap()]
    }

    fn expected(&self, scope: &Scope, from: u64) -> Vec<Seen> {
        let in_scope = |entry: &&Seen| match scope {
            Scope::All => true,
            Scope::Task(task) => task.as_str() == entry.1,
        };
        let kept = self.entries.iter().filter(|entry| !self.is_deleted(entry));
        kept.filter(in_scope).filter(|entry| entry.0 >= from).cloned().collect()
    }

    fn expected_gaps(&self, scope: &Scope, from: u64) -> Vec<Gap> {
        let gap =
            |from, to| Gap { from: Offset(from), to: Offset(to), lines: None, reason: "deleted" };
        match scope {
            Scope::All => {
                let gone = self.entries.iter().filter(|entry| self.is_deleted(entry));
                merged(gone.filter(|gone| gone.0 >= from).map(|gone| gap(gone.0, gone.0)).collect())
            }
            Scope::Task(task) => {
                let end = self.deleted_to[task.as_str().parse::<usize>().unwrap()];
                (from > 1 && from < end).then(|| gap(from, end - 1)).into_iter().collect()
            }
        }
    }
}

async fn play(steps: Vec<Operation>) {
    let mut dir = tempfile::tempdir().unwrap();
    let options = |dir: &tempfile::TempDir| StoreOptions {
        segment_bytes: 5000,
        segment_chunks: 12,
        index_cache_bytes: 1500,
        ..StoreOptions::new(dir.path())
    };
    let mut store = open_store(options(&dir));
    let mut model = Model::default();
    for step in steps {
        match step {
            Operation::Append(runs) => {
                keep(&store, model.append(&runs)).await;
            }
            Operation::Read(task_number, from, max_bytes) => {
                let scope = match task_number {
                    4 => Scope::All,
                    number => Scope::Task(task(&number.to_string())),
                };
                let (gaps, seen) = read_all(&store, scope.clone(), from, max_bytes).await.unwrap();
                assert_eq!(seen, model.expected(&scope, from));
                if from < store.tail().0 {
                    assert_eq!(merged(gaps), model.expected_gaps(&scope, from));
                }
            }
            Operation::Delete(task) => {
                assert_eq!(delete(&store, &task.to_string()).await, model.delete(task));
            }
            Operation::Close => {
                store.close().await;
                store = open_store(options(&dir));
            }
            Operation::Kill => {
                let copy = copy_dir(dir.path());
                store.close().await;
                dir = copy;
                store = open_store(options(&dir));
            }
        }
    }
    store.close().await;
    let store = open_store(options(&dir));
    let (_, seen) = read_all(&store, Scope::All, 1, 1 << 20).await.unwrap();
    assert_eq!(seen, model.expected(&Scope::All, 1));
    for number in 0..4 {
        let last_line = known(&store, &number.to_string()).await.map_or(0, |known| known.last_line);
        assert_eq!(last_line, model.lines[number]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_history_of_appends_deletions_reads_and_reopenings_reads_as_a_plain_list(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(steps));
    }
}
