use super::*;
use crate::domain::{Kind, Records, Run, WorkerId, encode_run};

fn task(name: &str) -> TaskId {
    TaskId::new(name).unwrap()
}

fn block(name: &str, base: u64, count: u32) -> Arc<Block> {
    let mut records = Records::default();
    (0..count).for_each(|_| records.push(Kind::Log, b"\"m\":1}"));
    let worker = WorkerId::new("w").unwrap();
    let run = Run { task: task(name), worker, session: None, records };
    let mut payload = Vec::new();
    encode_run(&mut payload, &run);
    Arc::new(Block::new(task(name), Offset(base), 1, (count, count), 0, payload.into()))
}

fn bases(blocks: Option<Vec<Arc<Block>>>) -> Option<Vec<u64>> {
    blocks.map(|blocks| blocks.iter().map(|block| block.base.0).collect())
}

#[test]
fn a_reader_gets_its_own_tasks_blocks_from_its_cursor_on() {
    let hub = Hub::new(1 << 20);
    hub.publish(&[block("a", 1, 3), block("b", 4, 2)], Offset(6));
    hub.publish(&[block("a", 6, 1)], Offset(7));
    let a = hub.watch(&Scope::Task(task("a")));
    assert_eq!(bases(a.read(Offset(1), usize::MAX)), Some(vec![1, 6]));
    assert_eq!(bases(a.read(Offset(3), usize::MAX)), Some(vec![1, 6]));
    assert_eq!(bases(a.read(Offset(4), usize::MAX)), Some(vec![6]));
    assert_eq!(bases(a.read(Offset(7), usize::MAX)), Some(vec![]));
    assert_eq!(bases(a.read(Offset(1), 1)), Some(vec![1]));
    let all = hub.watch(&Scope::All);
    assert_eq!(bases(all.read(Offset(4), usize::MAX)), Some(vec![4, 6]));
}

#[test]
fn a_reader_below_the_floor_is_sent_to_the_log() {
    let hub = Hub::new(1 << 20);
    hub.begin_at(Offset(100));
    let early = hub.watch(&Scope::Task(task("a")));
    assert_eq!(bases(early.read(Offset(99), usize::MAX)), None);
    assert_eq!(bases(early.read(Offset(100), usize::MAX)), Some(vec![]));
    hub.publish(&[block("b", 100, 1)], Offset(101));
    let b = hub.watch(&Scope::Task(task("b")));
    assert_eq!(bases(b.read(Offset(99), usize::MAX)), None);
    assert_eq!(bases(b.read(Offset(100), usize::MAX)), Some(vec![100]));
}

#[test]
fn the_budget_holds_and_the_oldest_block_of_any_task_goes_first() {
    let one = weight(&block("a", 1, 10));
    let hub = Hub::new(3 * one);
    let a = hub.watch(&Scope::Task(task("a")));
    hub.publish(&[block("a", 1, 10)], Offset(11));
    for turn in 0..20 {
        let base = 11 + turn * 10;
        hub.publish(&[block("b", base, 10)], Offset(base + 10));
        assert!(hub.bytes() <= 3 * one, "{} bytes after {turn} more", hub.bytes());
    }
    assert_eq!(bases(a.read(Offset(1), usize::MAX)), None);
    assert_eq!(bases(a.read(Offset(11), usize::MAX)), Some(vec![]));
    let all = hub.watch(&Scope::All);
    assert_eq!(bases(all.read(Offset(181), usize::MAX)), Some(vec![181, 191, 201]));
    assert_eq!(bases(all.read(Offset(180), usize::MAX)), None);
}

#[test]
fn a_window_that_nobody_reads_and_that_holds_nothing_is_forgotten() {
    let hub = Hub::new(1);
    drop(hub.watch(&Scope::Task(task("waiting"))));
    assert!(hub.0.lock().windows.is_empty());
    hub.publish(&[block("a", 1, 1)], Offset(2));
    hub.publish(&[block("b", 2, 1)], Offset(3));
    let tasks: Vec<_> = hub.0.lock().windows.keys().cloned().collect();
    assert_eq!(tasks, [task("b")]);
}

#[tokio::test]
async fn publishing_wakes_the_tasks_readers_and_no_others() {
    let hub = Hub::new(1 << 20);
    let (a, b) = (hub.watch(&Scope::Task(task("a"))), hub.watch(&Scope::Task(task("b"))));
    let (mut a_wakes, b_wakes) = (a.wakes(), b.wakes());
    hub.publish(&[block("a", 1, 1)], Offset(2));
    a_wakes.changed().await.unwrap();
    assert!(!b_wakes.has_changed().unwrap());
    hub.wake(&task("a"));
    assert!(a_wakes.has_changed().unwrap());
}
