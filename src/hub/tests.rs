use proptest::prelude::*;

use super::*;
use crate::domain::{Kind, Records, Run, WorkerId, encode_run};

fn task(name: &str) -> TaskId {
    TaskId::new(name).unwrap()
}

fn block(name: &str, base: u64, count: u32) -> Arc<Block> {
    block_of(name, base, count, b"\"m\":1}")
}

fn block_of(name: &str, base: u64, count: u32, body: &[u8]) -> Arc<Block> {
    let mut records = Records::default();
    (0..count).for_each(|_| records.push(Kind::Log, body));
    let worker = WorkerId::new("w").unwrap();
    let run = Run { task: task(name), worker, session: None, records };
    let mut payload = Vec::new();
    encode_run(&mut payload, &run);
    Arc::new(Block {
        task: task(name),
        base: Offset(base),
        base_line: 1,
        count,
        lines: count,
        time_ms: 0,
        payload: payload.into(),
    })
}

/// The first offsets of what was read; `None` when it is behind the window.
fn bases(read: WindowRead) -> Option<Vec<u64>> {
    match read {
        WindowRead::Behind => None,
        WindowRead::Nothing => Some(vec![]),
        WindowRead::Blocks { range, .. } => Some(range.blocks().iter().map(|b| b.base.0).collect()),
    }
}

fn range(read: WindowRead) -> Arc<BlockRange> {
    let WindowRead::Blocks { range, .. } = read else { panic!("{read:?} has no blocks") };
    range
}

#[test]
fn a_deleted_task_leaves_no_block_and_only_its_readers_are_told() {
    let hub = Hub::new(1 << 20);
    hub.publish(&[block("a", 1, 3), block("b", 4, 2)], Offset(6));
    hub.publish(&[block("a", 6, 1), block("b", 7, 1)], Offset(8));
    let (a, b) = (hub.subscribe(&Scope::Task(task("a"))), hub.subscribe(&Scope::Task(task("b"))));
    let all = hub.subscribe(&Scope::All);
    let others = hub.subscribe(&Scope::All);
    drop(range(all.read(Offset(1))));
    let woken = a.changes();
    hub.forget(&[task("a")]);
    assert!(woken.has_changed().unwrap());
    assert!(a.is_deleted() && !b.is_deleted() && !all.is_deleted());
    assert!(!hub.subscribe(&Scope::Task(task("a"))).is_deleted());
    assert_eq!(bases(a.read(Offset(1))), None);
    assert_eq!(bases(all.read(Offset(4))), None, "what is missing is told by the log");
    assert_eq!(bases(others.read(Offset(7))), Some(vec![7]));
    assert_eq!((bases(b.read(Offset(4))), bases(b.read(Offset(7)))), (None, Some(vec![7])));
    assert_eq!(hub.bytes(), block_bytes::budgeted_bytes(&block("b", 7, 1)));
}

#[test]
fn a_reader_gets_its_own_tasks_blocks_from_its_cursor_on() {
    let hub = Hub::new(1 << 20);
    hub.publish(&[block("a", 1, 3), block("b", 4, 2)], Offset(6));
    hub.publish(&[block("a", 6, 1)], Offset(7));
    let a = hub.subscribe(&Scope::Task(task("a")));
    assert_eq!(bases(a.read(Offset(1))), Some(vec![1, 6]));
    assert_eq!(bases(a.read(Offset(3))), Some(vec![1, 6]));
    assert_eq!(bases(a.read(Offset(4))), Some(vec![6]));
    assert_eq!(bases(a.read(Offset(7))), Some(vec![]));
    let all = hub.subscribe(&Scope::All);
    assert_eq!(bases(all.read(Offset(4))), Some(vec![4, 6]));
}

#[test]
fn a_reader_before_the_start_offset_is_sent_to_the_log() {
    let hub = Hub::starting_at(Offset(100), 1 << 20);
    let early = hub.subscribe(&Scope::Task(task("a")));
    assert_eq!(bases(early.read(Offset(99))), None);
    assert_eq!(bases(early.read(Offset(100))), Some(vec![]));
    hub.publish(&[block("b", 100, 1)], Offset(101));
    let b = hub.subscribe(&Scope::Task(task("b")));
    assert_eq!(bases(b.read(Offset(99))), None);
    assert_eq!(bases(b.read(Offset(100))), Some(vec![100]));
}

#[test]
fn the_budget_holds_and_the_oldest_block_of_any_task_goes_first() {
    let one = budgeted_bytes(&block("a", 1, 10));
    // A quarter of the budget is for ranges.
    let hub = Hub::new(4 * one);
    let a = hub.subscribe(&Scope::Task(task("a")));
    hub.publish(&[block("a", 1, 10)], Offset(11));
    for round in 0..20 {
        let base = 11 + round * 10;
        hub.publish(&[block("b", base, 10)], Offset(base + 10));
        assert!(hub.bytes() <= 3 * one, "{} bytes after {round} more", hub.bytes());
    }
    assert_eq!(bases(a.read(Offset(1))), None);
    assert_eq!(bases(a.read(Offset(11))), Some(vec![]));
    let all = hub.subscribe(&Scope::All);
    assert_eq!(bases(all.read(Offset(181))), Some(vec![181, 191, 201]));
    assert_eq!(bases(all.read(Offset(180))), None);
}

#[test]
fn a_window_that_nobody_reads_and_that_holds_nothing_is_forgotten() {
    let hub = Hub::new(1);
    drop(hub.subscribe(&Scope::Task(task("waiting"))));
    assert!(hub.0.lock().windows.is_empty());
    hub.publish(&[block("a", 1, 1)], Offset(2));
    hub.publish(&[block("b", 2, 1)], Offset(3));
    let tasks: Vec<_> = hub.0.lock().windows.keys().cloned().collect();
    assert_eq!(tasks, [task("b")]);
}

#[tokio::test]
async fn publishing_wakes_the_tasks_readers_and_no_others() {
    let hub = Hub::new(1 << 20);
    let (a, b) = (hub.subscribe(&Scope::Task(task("a"))), hub.subscribe(&Scope::Task(task("b"))));
    let (mut a_changes, b_changes) = (a.changes(), b.changes());
    hub.publish(&[block("a", 1, 1)], Offset(2));
    a_changes.changed().await.unwrap();
    assert!(!b_changes.has_changed().unwrap());
    hub.wake(&task("a"));
    assert!(a_changes.has_changed().unwrap());
}

#[test]
fn readers_at_one_cursor_share_a_range_and_what_is_rendered_from_it() {
    let hub = Hub::new(1 << 20);
    let scope = Scope::Task(task("a"));
    let (one, other) = (hub.subscribe(&scope), hub.subscribe(&scope));
    let _waiting = (one.changes(), other.changes());
    hub.publish(&[block("a", 1, 3)], Offset(4));
    let render =
        |reader: &Subscription| range(reader.read(Offset(1))).rendered(|_| vec![7; 9].into());
    assert_eq!(render(&one).as_ptr(), render(&other).as_ptr());
    hub.publish(&[block("a", 4, 1)], Offset(5));
    assert_eq!(bases(one.read(Offset(1))), Some(vec![1, 4]));
    assert_eq!(bases(other.read(Offset(4))), Some(vec![4]));
}

#[test]
fn readers_who_came_to_different_cursors_meet_at_the_next_page() {
    let hub = Hub::new(8 * RANGE_BYTES);
    let all = hub.subscribe(&Scope::All);
    let half = vec![b' '; RANGE_BYTES / 2];
    (1..=6).for_each(|base| hub.publish(&[block_of("a", base, 1, &half)], Offset(base + 1)));
    let ends: Vec<_> = (1..=6).map(|cursor| range(all.read(Offset(cursor))).end().0).collect();
    assert_eq!(ends, [3, 3, 5, 5, 7, 7]);
    assert!(matches!(all.read(Offset(4)), WindowRead::Blocks { more: true, .. }));
    assert!(matches!(all.read(Offset(5)), WindowRead::Blocks { more: false, .. }));
}

#[test]
fn ranges_stay_within_their_share_of_the_budget() {
    let hub = Hub::new(64 << 10);
    let all = hub.subscribe(&Scope::All);
    let _waiting = (all.changes(), all.changes());
    for base in 1..=100 {
        hub.publish(&[block_of("a", base, 1, &[b' '; 2000])], Offset(base + 1));
        let _read = all.read(Offset(base));
        assert!(hub.bytes() <= 64 << 10, "{} bytes after {base} blocks", hub.bytes());
    }
}

/// One thing that happens: entries are published in tasks, or a reader reads once.
#[derive(Debug, Clone)]
enum Step {
    Publish(Vec<(usize, u32, usize)>),
    Read(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let published = (0..2usize, 1..4u32, 1..6_000usize);
    prop_oneof![
        prop::collection::vec(published, 1..4).prop_map(Step::Publish),
        (0..6usize).prop_map(Step::Read),
    ]
}

proptest! {
    /// Whichever ranges readers share, each gets the blocks of its scope from its cursor on, in
    /// order, and is sent to the log only for evicted ones.
    #[test]
    fn every_reader_gets_each_block_once_in_order(steps in prop::collection::vec(step(), 1..120)) {
        const TASKS: [&str; 2] = ["a", "b"];
        let hub = Hub::new(64 << 10);
        let scopes = [Scope::All, Scope::Task(task("a")), Scope::Task(task("b"))];
        let readers: Vec<_> = (0..6).map(|reader| hub.subscribe(&scopes[reader % 3])).collect();
        let _waiting: Vec<_> = readers.iter().map(|reader| reader.changes()).collect();
        let mut cursors = [Offset(1); 6];
        let (mut published, mut tail) = (Vec::<Arc<Block>>::new(), Offset(1));
        for step in steps {
            match step {
                Step::Publish(parts) => {
                    let mut blocks = Vec::new();
                    for (name, count, bytes) in parts {
                        blocks.push(block_of(TASKS[name], tail.0, count, &vec![b' '; bytes]));
                        tail = Offset(tail.0 + u64::from(count));
                    }
                    hub.publish(&blocks, tail);
                    published.extend(blocks);
                }
                Step::Read(reader) => {
                    let in_scope = |block: &&Arc<Block>| match &scopes[reader % 3] {
                        Scope::All => true,
                        Scope::Task(task) => block.task == *task,
                    };
                    let cursor = cursors[reader];
                    let mut wanted =
                        published.iter().filter(in_scope).filter(|block| block.end() > cursor);
                    match readers[reader].read(cursor) {
                        WindowRead::Behind => cursors[reader] = tail,
                        WindowRead::Nothing => prop_assert!(wanted.next().is_none()),
                        WindowRead::Blocks { range, more } => {
                            for block in range.blocks() {
                                prop_assert!(wanted.next().is_some_and(|w| Arc::ptr_eq(w, block)));
                            }
                            prop_assert_eq!(more, wanted.next().is_some());
                            cursors[reader] = range.end();
                        }
                    }
                }
            }
            prop_assert!(hub.bytes() <= 64 << 10);
        }
    }
}
