//! What producers and readers can make the program hold is bounded, and others are served on.

mod producers;
mod readers;

use std::time::{Duration, Instant};

use otto_handler::proto::ottoscaler::log_forward_response::Status;

use crate::support::{Process, Producer, connect, entry};

const MIB: usize = 1 << 20;

/// The budgets in these tests.
const INGEST_MIB: u64 = 24;
const READER_MIB: u64 = 8;
const FLAGS: [&str; 4] =
    ["--ingest-bytes=24MiB", "--queue-bytes=8MiB", "--hub-bytes=8MiB", "--reader-bytes=8MiB"];

/// What the hub takes beside the budgets, and a commit of a full queue until it is published.
const COMMIT_MIB: u64 = 8 + 4 * 8;

/// The program itself, and what the allocator keeps; a debug build.
const BASE_MIB: u64 = 40;

/// Pushes a line at a time; returns how long 99 of 100 took at most from entry to ACK.
async fn honest_p99(server: &Process, lines: usize) -> Duration {
    let mut producer = Producer::open(&mut connect(&server.grpc_url()).await).await;
    let mut took = Vec::with_capacity(lines);
    for line in 0..lines {
        let sent = Instant::now();
        producer.send(entry("honest", &format!("line {line}"))).await;
        assert_eq!(producer.response().await.status, i32::from(Status::Ack));
        took.push(sent.elapsed());
    }
    producer.finish().await;
    took.sort_unstable();
    took[lines * 99 / 100 - 1]
}

/// Checks the highest resident memory against the budgets and what `count` peers have of their
/// own.
fn check_peak(what: &str, server: &Process, count: usize, own_kib: u64) {
    let peak_mib = server.peak_kib() / 1024;
    let budgets_mib = INGEST_MIB + READER_MIB + COMMIT_MIB;
    let limit_mib = BASE_MIB + budgets_mib + count as u64 * own_kib / 1024;
    println!("{what}: {peak_mib} MiB resident at most, the limit is {limit_mib}");
    assert!(peak_mib <= limit_mib, "{what}: {peak_mib} MiB, the limit is {limit_mib}");
}
