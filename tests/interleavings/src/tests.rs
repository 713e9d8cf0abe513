use std::sync::Arc;
use std::time::Duration;

use crate::domain::{
    Batch, Block, Kind, Offset, Records, Run, Scope, TaskId, WorkerId, encode_run,
};
use crate::hub::{Hub, WindowRead};
use crate::store::{Log, OnCommit, Store, StoreOptions};

fn task() -> TaskId {
    TaskId::new("t").unwrap()
}

/// `count` blank entries from `base` on.
fn block(base: u64, count: u32) -> Arc<Block> {
    let mut records = Records::default();
    (0..count).for_each(|_| records.push(Kind::Log, b"}"));
    let worker = WorkerId::new("w").unwrap();
    let run = Run { task: task(), worker, session: None, records };
    let mut payload = Vec::new();
    encode_run(&mut payload, &run);
    Arc::new(Block {
        task: task(),
        base: Offset(base),
        base_line: base,
        count,
        lines: count,
        time_ms: 0,
        payload: payload.into(),
    })
}

/// Reads from its cursor on until it is at `end`; waits only for wakes. What is behind the
/// window is taken as read from the log.
async fn read_to(hub: Hub, scope: Scope, end: Offset) {
    let subscription = hub.subscribe(&scope);
    let mut changes = subscription.changes();
    let mut cursor = Offset(1);
    while cursor < end {
        match subscription.read(cursor) {
            WindowRead::Behind => cursor = Offset(cursor.0 + 1),
            WindowRead::Nothing => changes.changed().await.unwrap(),
            WindowRead::Blocks { range, .. } => cursor = range.end(),
        }
    }
}

#[test]
fn a_reader_never_sleeps_through_a_publish() {
    shuttle::check_random(
        || {
            let hub = Hub::new(1024);
            let publisher = hub.clone();
            let threads = [
                shuttle::thread::spawn(move || {
                    for base in 1..=4 {
                        publisher.publish(&[block(base, 1)], Offset(base + 1));
                    }
                }),
                shuttle::thread::spawn({
                    let hub = hub.clone();
                    move || shuttle::future::block_on(read_to(hub, Scope::Task(task()), Offset(5)))
                }),
                shuttle::thread::spawn(move || {
                    shuttle::future::block_on(read_to(hub, Scope::All, Offset(5)));
                }),
            ];
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        },
        2_000,
    );
}

/// A batch of one line that names itself.
fn batch(producer: u8, number: u32) -> Batch {
    let mut records = Records::default();
    records.push(Kind::Log, format!("\"{producer}\":{number}}}").as_bytes());
    let worker = WorkerId::new(&format!("w{producer}")).unwrap();
    Batch::of(vec![Run { task: task(), worker, session: None, records }])
}

/// The bodies of what was committed, in order.
type Published = Arc<std::sync::Mutex<Vec<String>>>;

fn open(queue_bytes: usize) -> (Store, Published) {
    let published = Published::default();
    let publish = Arc::clone(&published);
    let on_commit: OnCommit = Box::new(move |blocks, _| {
        let mut published = publish.lock().unwrap();
        for entry in blocks.iter().flat_map(|block| block.entries()) {
            published.push(String::from_utf8(entry.body.to_vec()).unwrap());
        }
    });
    let options =
        StoreOptions { queue_bytes, commit_interval: Duration::ZERO, ..StoreOptions::in_memory() };
    (crate::store::open(options, on_commit).unwrap(), published)
}

#[test]
fn an_acknowledgement_comes_for_every_batch_after_it_was_published_and_in_order() {
    const BATCHES: u32 = 3;
    shuttle::check_random(
        || {
            // One batch fits: every further one has to wait for room.
            let (store, published) = open(64);
            let producers = [0_u8, 1].map(|producer| {
                let (store, published) = (store.clone(), Arc::clone(&published));
                shuttle::thread::spawn(move || {
                    shuttle::future::block_on(async {
                        for number in 0..BATCHES {
                            let receipt = store.append(batch(producer, number)).await.unwrap();
                            assert_eq!(receipt.await.unwrap().kept, 1);
                            let body = format!("\"{producer}\":{number}}}");
                            assert!(
                                published.lock().unwrap().contains(&body),
                                "acknowledged before"
                            );
                        }
                    });
                })
            });
            producers.into_iter().for_each(|producer| producer.join().unwrap());
            shuttle::future::block_on(store.close());
            let published = published.lock().unwrap();
            for producer in [0, 1] {
                let start = format!("\"{producer}\"");
                let own: Vec<_> =
                    published.iter().filter(|body| body.starts_with(&start)).collect();
                let expected: Vec<_> = (0..BATCHES).map(|n| format!("{start}:{n}}}")).collect();
                assert_eq!(own, expected.iter().collect::<Vec<_>>());
            }
        },
        500,
    );
}

#[test]
fn a_close_in_the_middle_settles_every_receipt_and_keeps_what_it_acknowledged() {
    shuttle::check_random(
        || {
            let (store, published) = open(256);
            let closing = store.clone();
            let producer = shuttle::thread::spawn(move || {
                shuttle::future::block_on(async {
                    let mut kept = 0;
                    for number in 0..3 {
                        let Ok(receipt) = store.append(batch(0, number)).await else { break };
                        match receipt.await {
                            Ok(_) => kept += 1,
                            Err(_) => break,
                        }
                    }
                    kept
                })
            });
            shuttle::future::block_on(closing.close());
            let kept = producer.join().unwrap();
            assert!(published.lock().unwrap().len() >= kept);
        },
        500,
    );
}
