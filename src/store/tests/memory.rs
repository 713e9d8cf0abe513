//! A store without files reads back what its budget keeps, and tells a gap for the rest.

use super::*;

/// A budget for about three of the blocks that [`fill`] makes.
const BUDGET_BYTES: usize = 3 * 1300;

fn small() -> StoreOptions {
    StoreOptions { memory_bytes: BUDGET_BYTES, ..StoreOptions::in_memory() }
}

fn lost(from: u64, to: u64, lines: Option<u64>) -> Gap {
    Gap { from: Offset(from), to: Offset(to), lines, reason: "memory" }
}

/// Offsets 1 to 9: a block each of a, b, c, a, b, c and three of a, each of one line of 1,000 bytes.
async fn fill(store: &Store) {
    for id in ["a", "b", "c", "a", "b", "c", "a", "a", "a"] {
        keep(store, lines(id, &[&"x".repeat(1000)])).await;
    }
}

async fn offsets(store: &Store, scope: Scope, from: u64) -> (Vec<Gap>, Vec<u64>) {
    let (gaps, seen) = read_all(store, scope, from, 1).await.unwrap();
    (gaps, seen.into_iter().map(|(offset, ..)| offset).collect())
}

#[tokio::test]
async fn what_is_kept_is_read_back_and_repeats_are_known() {
    let (store, commits) = open_watched(StoreOptions::in_memory());
    keep(&store, numbered("a", "s", &[1, 2])).await;
    assert_eq!(keep(&store, numbered("a", "s", &[2, 3])).await, Committed { kept: 1, repeated: 1 });
    keep(&store, lines("b", &["x"])).await;
    assert_eq!(commits.iter().take(3).map(|(blocks, _)| blocks.len()).sum::<usize>(), 3);
    assert_eq!(bodies(&store, "a").await, ["1", "2", "3"]);
    assert_eq!(bodies(&store, "b").await, ["x"]);
    let (gaps, all) = offsets(&store, Scope::All, 1).await;
    assert_eq!((gaps, all), (vec![], vec![1, 2, 3, 4]));
    assert_eq!(store.locate(task("a"), 3).await, Ok(Offset(3)));
    assert_eq!(store.locate(task("a"), 4).await, Ok(Offset(4)));
    assert_eq!(store.locate(task("unknown"), 1).await, Ok(store.tail()));
    let end = store.read(Scope::Task(task("a")), Offset(4), 100).await.unwrap();
    assert_eq!((end.gap, end.blocks.len(), end.next), (None, 0, Offset(5)));
    store.close().await;
}

#[tokio::test]
async fn what_has_left_the_budget_is_a_gap_that_ends_at_the_tasks_last_missing_entry() {
    let store = open_store(small());
    fill(&store).await;
    let of = |id| Scope::Task(task(id));
    assert_eq!(offsets(&store, Scope::All, 1).await, (vec![lost(1, 6, None)], vec![7, 8, 9]));
    assert_eq!(offsets(&store, of("a"), 1).await, (vec![lost(1, 4, Some(2))], vec![7, 8, 9]));
    assert_eq!(offsets(&store, of("a"), 3).await, (vec![lost(3, 4, None)], vec![7, 8, 9]));
    // Nothing of it is missing from here on, although other tasks' entries are.
    assert_eq!(offsets(&store, of("a"), 5).await, (vec![], vec![7, 8, 9]));
    assert_eq!(offsets(&store, of("b"), 1).await, (vec![lost(1, 5, Some(2))], vec![]));
    assert_eq!(offsets(&store, of("b"), 6).await, (vec![], vec![]));
    assert_eq!(store.locate(task("a"), 1).await, Ok(Offset(7)));
    assert_eq!(store.locate(task("a"), 4).await, Ok(Offset(8)));
    assert_eq!(store.locate(task("b"), 1).await, Ok(Offset(6)));
    store.close().await;
}

#[tokio::test]
async fn a_summary_says_which_lines_are_still_kept() {
    let store = open_store(small());
    fill(&store).await;
    let kept = async |id| {
        let found = known(&store, id).await.unwrap();
        (found.first_line, found.last_line)
    };
    assert_eq!((kept("a").await, kept("b").await), ((3, 5), (3, 2)));
    let listed: Vec<_> = all_tasks(&store).await.iter().map(|found| found.first_line).collect();
    assert_eq!(listed, [3, 3, 3]);
    store.close().await;
}

#[tokio::test]
async fn a_reader_beside_the_committer_sees_every_entry_once_and_no_gap() {
    let store = open_store(StoreOptions::in_memory());
    let reading = {
        let store = store.clone();
        tokio::spawn(async move {
            let (mut next, mut seen) = (Offset::FIRST, Vec::new());
            while seen.len() < 200 {
                let read = store.read(Scope::Task(task("a")), next, 1).await.unwrap();
                assert_eq!(read.gap, None);
                seen.extend(entries(&read.blocks, next.0).into_iter().map(|(offset, ..)| offset));
                next = read.next;
                tokio::task::yield_now().await;
            }
            seen
        })
    };
    for n in 1..=200 {
        keep(&store, lines("a", &[&n.to_string()])).await;
    }
    assert_eq!(reading.await.unwrap(), (1..=200).collect::<Vec<_>>());
    store.close().await;
}
