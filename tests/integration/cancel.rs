//! ottoscaler cancels right behind its half-close; the last lines are the ones people look for.

use otto_handler::proto::ottoscaler::WorkerLogEntry;

use crate::support::{Producer, Reader, TestServer, connect, entry, messages, raw_http2};

const STREAMS: usize = 20;
const ENTRIES: usize = 1000;

/// Short enough that a thousand of them fit the server's stream window.
fn short(task: &str, turn: usize) -> WorkerLogEntry {
    let (worker_id, task_id) = ("w".into(), task.into());
    WorkerLogEntry { worker_id, task_id, message: format!("{turn}"), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_entry_that_arrived_before_a_cancel_is_readable_in_order() {
    let server = TestServer::start().await;
    let pushes = (0..STREAMS).map(|stream| {
        let task = format!("t{stream}");
        let addr = server.grpc_addr();
        tokio::spawn(async move {
            let entries: Vec<_> = (1..=ENTRIES).map(|turn| short(&task, turn)).collect();
            let mut connection = raw_http2::Connection::open(&addr).await;
            connection.push(1, &entries);
            connection.half_close(1);
            connection.cancel(1);
            connection.send().await;
            connection
        })
    });
    let mut connections = Vec::new();
    for push in pushes.collect::<Vec<_>>() {
        connections.push(push.await.unwrap());
    }
    let expected: Vec<_> = (1..=ENTRIES).map(|turn| turn.to_string()).collect();
    for stream in 0..STREAMS {
        let mut reader = Reader::open(&server.api(&format!("/stream/t{stream}"))).await;
        assert_eq!(messages(&reader.logs(ENTRIES).await), expected, "task t{stream}");
    }
}

/// Streams of one connection that ends right behind them, in the same segments.
const LAST_STREAMS: u32 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_entry_of_streams_that_came_together_with_the_connections_end_is_kept() {
    let server = TestServer::start().await;
    for round in 0..10 {
        let mut connection = raw_http2::Connection::open(&server.grpc_addr()).await;
        let task = |stream| format!("r{round}s{stream}");
        for stream in 0..LAST_STREAMS {
            let entries: Vec<_> = (1..=50).map(|turn| short(&task(stream), turn)).collect();
            connection.push(2 * stream + 1, &entries);
            if stream % 2 == 0 {
                connection.half_close(2 * stream + 1);
            }
        }
        connection.send_and_close().await;
        for stream in 0..LAST_STREAMS {
            let url = server.api(&format!("/stream/{}", task(stream)));
            assert_eq!(Reader::open(&url).await.logs(50).await.len(), 50);
        }
    }
}

#[tokio::test]
async fn a_producer_that_vanishes_leaves_what_it_sent_and_a_task_that_goes_quiet() {
    let server = TestServer::start_with(&["--task-quiet-period=1ms"]).await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    producer.push_all(1, vec![entry("t", "the last words")]).await;
    let mut reader = Reader::open(&server.api("/stream/t")).await;
    assert_eq!(messages(&reader.logs(1).await), ["the last words"]);
    drop(producer);
    assert_eq!(reader.event().await.event, "complete");
}
