//! Tests of the whole store through its public face.

mod appending;
mod cursors;
mod deleting;
mod disk_faults;
mod memory;
mod opening;
mod property;
mod retention;
mod tasks;
mod trimming;
mod waiting;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::domain::{
    Batch, Block, Gap, Kind, Offset, ProducerSession, Records, Run, Scope, TaskId, TaskSummary,
    WorkerId,
};

/// One entry as a reader sees it: offset, task, line, body.
type Seen = (u64, String, Option<u64>, String);

fn task(id: &str) -> TaskId {
    TaskId::new(id).unwrap()
}

fn run(
    task_id: &str,
    worker: &str,
    session: Option<ProducerSession>,
    records: &[(Kind, &str)],
) -> Run {
    let worker = WorkerId::new(worker).unwrap();
    let mut encoded = Records::default();
    records.iter().for_each(|(kind, body)| encoded.push(*kind, body.as_bytes()));
    Run { task: task(task_id), worker, session, records: encoded }
}

/// A batch of log lines of one worker.
fn lines(task: &str, bodies: &[&str]) -> Batch {
    let records: Vec<_> = bodies.iter().map(|body| (Kind::Log, *body)).collect();
    Batch::of(vec![run(task, "w", None, &records)])
}

/// A batch of numbered log lines.
fn numbered(task: &str, session: &str, seqs: &[u64]) -> Batch {
    let bodies: Vec<_> = seqs.iter().map(u64::to_string).collect();
    let records: Vec<_> = bodies.iter().map(|body| (Kind::Log, body.as_str())).collect();
    let session = ProducerSession { id: session.into(), seqs: seqs.into() };
    Batch::of(vec![run(task, "w", Some(session), &records)])
}

fn open_store(options: StoreOptions) -> Store {
    open(options, Box::new(|_, _| {})).unwrap()
}

/// What each commit published.
type PublishedCommits = std::sync::mpsc::Receiver<(Vec<Arc<Block>>, Offset)>;

/// Opens with a callback that keeps every block it is given.
fn open_watched(options: StoreOptions) -> (Store, PublishedCommits) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let on_commit: OnCommit = Box::new(move |blocks, tail| {
        sender.send((blocks.to_vec(), tail)).unwrap();
    });
    (open(options, on_commit).unwrap(), receiver)
}

/// What the store knows of `id`, but for when this process committed it, which no other knows.
async fn known(store: &Store, id: &str) -> Option<TaskSummary> {
    let known = store.task(&task(id)).await.unwrap();
    known.map(|task| TaskSummary { last_commit: None, ..task })
}

/// Every task, the one with the newest entry first, read in pages of `limit`.
async fn pages(store: &Store, limit: usize) -> Vec<TaskSummary> {
    let mut all = Vec::new();
    let mut query = TaskQuery { before: None, limit, max_scanned: usize::MAX, filter: None };
    loop {
        let page = store.tasks(query.clone()).await.unwrap();
        all.extend(page.tasks);
        query.before = page.next;
        if page.next.is_none() {
            return all;
        }
    }
}

/// The same without when this process committed, which no other knows.
async fn all_tasks(store: &Store) -> Vec<TaskSummary> {
    let tasks = pages(store, 1000).await.into_iter();
    tasks.map(|task| TaskSummary { last_commit: None, ..task }).collect()
}

async fn keep(store: &Store, batch: Batch) -> Committed {
    store.append(batch).await.unwrap().await.unwrap()
}

fn entries(blocks: &[Arc<Block>], from: u64) -> Vec<Seen> {
    let each = blocks.iter().flat_map(|block| block.entries().map(move |entry| (block, entry)));
    each.filter(|(_, entry)| entry.offset.0 >= from)
        .map(|(block, entry)| {
            let body = String::from_utf8(entry.body.to_vec()).unwrap();
            (entry.offset.0, block.task.to_string(), entry.line, body)
        })
        .collect()
}

/// Everything from `from` on, read in pieces of about `max_bytes`, with the gaps.
async fn read_all(
    store: &Store,
    scope: Scope,
    from: u64,
    max_bytes: usize,
) -> Result<(Vec<Gap>, Vec<Seen>), ReadError> {
    let (mut gaps, mut seen) = (Vec::new(), Vec::new());
    let tail = store.tail();
    let mut next = Offset(from);
    while next < tail {
        let read = store.read(scope.clone(), next, max_bytes).await?;
        gaps.extend(read.gap);
        seen.extend(entries(&read.blocks, next.0));
        assert!(read.next > next, "a read from {next} leads to {}", read.next);
        next = read.next;
    }
    Ok((gaps, seen))
}

/// Deletes `id` as it ends now; returns whether it was there.
async fn delete(store: &Store, id: &str) -> bool {
    let Some(known) = known(store, id).await else { return false };
    let end = TaskEnd { task: task(id), last: known.last_offset };
    store.delete(vec![end]).await == Ok(1)
}

/// Gaps that adjoin and have one reason, as one.
fn merged(gaps: Vec<Gap>) -> Vec<Gap> {
    let mut merged: Vec<Gap> = Vec::new();
    for gap in gaps {
        match merged.last_mut() {
            Some(last) if last.to.next() == gap.from && last.reason == gap.reason => {
                last.to = gap.to;
            }
            _ => merged.push(gap),
        }
    }
    merged
}

async fn bodies(store: &Store, id: &str) -> Vec<String> {
    let (gaps, seen) = read_all(store, Scope::Task(task(id)), 1, 1 << 20).await.unwrap();
    assert!(gaps.iter().all(|gap| gap.reason == "crash"), "{gaps:?}");
    seen.into_iter().map(|(_, _, _, body)| body).collect()
}

/// The segment files, oldest first.
fn segment_files(dir: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        names.filter(|path| path.extension().is_some_and(|e| e == "seg")).collect();
    files.sort();
    files
}

/// Copies a data directory as it stands: what a killed process leaves behind.
fn copy_dir(from: &Path) -> tempfile::TempDir {
    // In memory where that can be had: thousands of copies are made.
    let memory = Path::new("/dev/shm");
    let to = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let to = to.unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}
