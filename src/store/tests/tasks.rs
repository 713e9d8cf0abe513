//! Tasks beyond what memory may hold, and the index on the disk that has them.

use std::time::Duration;

use super::*;

/// So little memory that a few tasks fill it.
fn crowded(dir: &Path) -> StoreOptions {
    StoreOptions { catalog_bytes: 40_000, segment_chunks: 50, ..StoreOptions::new(dir) }
}

async fn until_evicted(store: &Store) {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    while store.stats().catalog_bytes > 40_000 {
        ticks.tick().await;
    }
}

fn names(tasks: &[TaskSummary]) -> Vec<String> {
    tasks.iter().map(|task| task.task.to_string()).collect()
}

#[tokio::test]
async fn tasks_beyond_memory_are_all_kept_listed_and_read_also_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open_store(crowded(dir.path()));
    for n in 0..500 {
        keep(&store, lines(&format!("task-{n}"), &["x", "y"])).await;
    }
    until_evicted(&store).await;
    let expected: Vec<_> = (0..500).rev().map(|n| format!("task-{n}")).collect();
    for _ in 0..2 {
        for limit in [1000, 500, 7, 1] {
            assert_eq!(names(&pages(&store, limit).await), expected, "pages of {limit}");
        }
        for id in ["task-0", "task-250", "task-499"] {
            let known = known(&store, id).await.unwrap();
            assert_eq!((known.last_line, known.worker_counts.total), (2, 1));
            assert_eq!(bodies(&store, id).await, ["x", "y"]);
            assert_eq!(store.locate(task(id), 2).await, Ok(known.last_offset));
        }
        assert_eq!(known(&store, "task-500").await, None);
        store.close().await;
        store = open_store(crowded(dir.path()));
        let in_memory = store.stats().catalog_bytes;
        assert!(in_memory < 40_000, "{in_memory} bytes after the start");
    }
}

#[tokio::test]
async fn a_task_that_was_let_go_goes_on_with_its_lines_its_workers_and_its_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(crowded(dir.path()));
    assert_eq!(keep(&store, numbered("old", "s", &[1, 2, 3])).await.kept, 3);
    for n in 0..500 {
        keep(&store, lines(&format!("task-{n}"), &["x"])).await;
    }
    until_evicted(&store).await;
    let again = keep(&store, numbered("old", "s", &[2, 3, 4])).await;
    assert_eq!((again.kept, again.repeated), (1, 2));
    let known = known(&store, "old").await.unwrap();
    assert_eq!((known.first_offset, known.last_line, known.worker_counts.total), (Offset(1), 4, 1));
    assert_eq!(names(&pages(&store, 3).await)[0], "old");
    let count = |tasks: &[TaskSummary]| tasks.iter().filter(|t| t.task.as_str() == "old").count();
    assert_eq!(count(&pages(&store, 3).await), 1);
}

#[tokio::test]
async fn an_index_that_is_missing_damaged_or_of_another_time_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(crowded(dir.path()));
    for n in 0..200 {
        keep(&store, lines(&format!("task-{n}"), &["x"])).await;
    }
    store.close().await;
    let file = dir.path().join("TASKS");
    let earlier = std::fs::read(&file).unwrap();
    let store = open_store(crowded(dir.path()));
    for n in 200..300 {
        keep(&store, lines(&format!("task-{n}"), &["x"])).await;
    }
    store.close().await;
    let damages: [&dyn Fn(); 4] = [
        &|| std::fs::remove_file(&file).unwrap(),
        &|| std::fs::write(&file, b"not an index").unwrap(),
        &|| std::fs::write(&file, &earlier).unwrap(),
        &|| std::fs::write(&file, b"").unwrap(),
    ];
    for damage in damages {
        damage();
        let store = open_store(crowded(dir.path()));
        assert_eq!(pages(&store, 100).await.len(), 300);
        store.close().await;
    }
}

#[tokio::test]
async fn a_page_looks_at_no_more_tasks_than_it_may_and_goes_on_from_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(crowded(dir.path()));
    for n in 0..300 {
        keep(&store, lines(&format!("task-{n}"), &["x"])).await;
    }
    until_evicted(&store).await;
    let filter: Option<TaskFilter> = Some(Arc::new(|task: &TaskId| task.as_str() == "task-3"));
    let mut query = TaskQuery { before: None, limit: 10, max_scanned: 50, filter };
    let mut found = Vec::new();
    for turn in 1.. {
        let page = store.tasks(query.clone()).await.unwrap();
        found.extend(page.tasks);
        query.before = page.next;
        if page.next.is_none() {
            assert!(turn > 3, "all were looked at in {turn} turns");
            break;
        }
    }
    assert_eq!(names(&found), ["task-3"]);
}

#[tokio::test]
async fn a_task_with_very_many_workers_is_small_to_list_and_read_page_by_page() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open_store(StoreOptions::new(dir.path()));
    let runs = |from: usize| {
        let run = |n| run("t", &format!("w{n}"), None, &[(Kind::Log, "x")]);
        Batch::of((from..from + 1000).map(run).collect())
    };
    for from in (0..10_000).step_by(1000) {
        keep(&store, runs(from)).await;
    }
    for _ in 0..2 {
        let known = known(&store, "t").await.unwrap();
        assert_eq!((known.worker_counts.total, known.workers.len()), (10_000, 100));
        let page = store.workers(task("t"), 9_990, 100).await.unwrap();
        assert_eq!(page.len(), 10);
        assert_eq!(page[9].worker.as_str(), "w9999");
        let worker = WorkerId::new("w5000").unwrap();
        assert_eq!(store.worker(task("t"), worker).await.unwrap().unwrap().lines, 1);
        store.close().await;
        store = open_store(StoreOptions::new(dir.path()));
    }
}
