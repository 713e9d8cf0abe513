//! Random histories against a plain list.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Operation {
    Append(Vec<(u8, u8, u16)>),
    Read(u8, u64, usize),
    Close,
    Kill,
}

fn steps() -> impl Strategy<Value = Vec<Operation>> {
    let runs = prop::collection::vec((0..4_u8, 1..5_u8, 0..3000_u16), 1..6);
    let step = prop_oneof![
        6 => runs.prop_map(Operation::Append),
        4 => (0..5_u8, 1..60_u64, 1..5000_usize).prop_map(|(t, from, max)| Operation::Read(t, from, max)),
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

    fn expected(&self, scope: &Scope, from: u64) -> Vec<Seen> {
        let in_scope = |entry: &&Seen| match scope {
            Scope::All => true,
            Scope::Task(task) => task.as_str() == entry.1,
        };
        self.entries.iter().filter(in_scope).filter(|entry| entry.0 >= from).cloned().collect()
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
                assert_eq!((gaps, seen), (Vec::new(), model.expected(&scope, from)));
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
    assert_eq!(seen, model.entries);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_history_of_appends_reads_and_reopenings_reads_as_a_plain_list(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(steps));
    }
}
