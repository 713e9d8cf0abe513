//! The store's committer against a raw segment, both in this process.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::Result;
use otto_handler::domain::{Batch, Kind, Records, Run, TaskId, WorkerId};
use otto_handler::store::{self, Log, Receipt, Store, StoreOptions};

use super::ingest::append_raw;
use crate::baselines::segment::Entries;
use crate::process;
use crate::report::{Row, Section, Target};
use crate::rounds::{Effort, Measure, Sample, interleave};

const TASKS: usize = 50;

/// Batches that wait while one is committed, so that the committer never waits for the caller.
const QUEUED_BATCHES: usize = 4;

/// Batch sizes, each with the share of the raw segment's throughput that is the target.
const BATCHES: [(usize, f64); 3] = [(16, 0.9), (256, 0.8), (4096, 0.8)];

/// Commits of fixed sizes.
pub fn run(effort: Effort) -> Result<Section> {
    let mut section = Section::default();
    for (batch, share) in BATCHES {
        section.rows.extend(with_batch(batch, share, effort)?);
    }
    section.text = format!(
        "A commit is exactly one batch, over {TASKS} tasks; {QUEUED_BATCHES} batches are queued. The store's CPU includes \
         the caller's copy of each batch. Both do one `fdatasync` per commit.\n"
    );
    Ok(section)
}

fn with_batch(batch: usize, share: f64, effort: Effort) -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let measured = interleave(
        effort,
        vec![
            (
                "store".into(),
                Box::new(|| runtime.block_on(append(batch, effort.round))) as Measure<'_>,
            ),
            (
                "raw segment".into(),
                Box::new(|| append_raw(process::temp_dir()?.path(), batch, TASKS, effort.round)),
            ),
        ],
    )?;
    let (ours, raw) = (&measured[0], &measured[1]);
    let case = format!("committer, batches of {batch}");
    let rate = Row::ratio(
        &case,
        "entries/s",
        ours.rate(),
        (&raw.name, raw.rate()),
        Target::AtLeast(share),
    );
    let cpu = Row::ratio(&case, "µs/entry", ours.cpu(), (&raw.name, raw.cpu()), Target::None);
    Ok(vec![rate, cpu])
}

/// Appends to the store for `duration`.
async fn append(batch: usize, duration: Duration) -> Result<Sample> {
    let dir = process::temp_dir()?;
    let options = StoreOptions { commit_entries: batch, ..StoreOptions::new(dir.path()) };
    let store = store::open(options, Box::new(|_, _| {}))?;
    let prepared = prepared(batch)?;
    let own = std::process::id();
    let (began, cpu_us, mut kept) = (Instant::now(), process::cpu_us(own)?, 0);
    let mut receipts = VecDeque::new();
    while began.elapsed() < duration {
        receipts.push_back(store.append(prepared.clone()).await?);
        if receipts.len() > QUEUED_BATCHES {
            kept += next_kept(&mut receipts).await?;
        }
    }
    while !receipts.is_empty() {
        kept += next_kept(&mut receipts).await?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let cpu_us = (process::cpu_us(own)? - cpu_us) / kept as f64;
    close(store).await;
    Ok(Sample { cpu_us, per_second: kept as f64 / seconds, ..Sample::default() })
}

async fn next_kept(receipts: &mut VecDeque<Receipt>) -> Result<u64> {
    match receipts.pop_front() {
        Some(receipt) => Ok(u64::from(receipt.await?.kept)),
        None => Ok(0),
    }
}

async fn close(store: Store) {
    store.close().await;
}

/// The raw segment's entries as a batch: one run per task.
fn prepared(count: usize) -> Result<Batch> {
    let entries = Entries::new(count, TASKS);
    let runs = entries.by_task().map(|(task, bodies)| {
        let mut records = Records::default();
        // A record holds the members that follow `offset` and `line`. The few bytes more of the
        // raw segment do not matter.
        bodies.iter().for_each(|body| records.push(Kind::Log, &body[1..]));
        Ok(Run {
            task: TaskId::new(&format!("build-{task:06}"))?,
            worker: WorkerId::new(&format!("otto-agent-build-{task:06}-1"))?,
            session: None,
            records,
        })
    });
    Ok(Batch { runs: runs.collect::<Result<_>>()?, cursor: None })
}
