//! The committer: one thread that makes queued batches durable, in order.
//!
//! One commit: take what is queued, write a chunk per task, one fsync; then readers see it, the
//! hub gets it, producers are answered, in this order.

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::StoreShared;
use super::ack::{AckSender, send_acks};
use super::chunk::{self, Header, Packer};
use super::directory::{CommittedChunk, Directory};
use super::group_commit::CommitDelay;
use super::index::ChunkRef;
use super::log::{AppendError, Committed};
use super::options::{Durability, StoreOptions};
use super::segment::Active;
use super::staging::Staging;
use crate::domain::{Batch, Block, Offset, now_ms};

/// How often age and retention are looked at.
pub(super) const MAINTENANCE_PERIOD: Duration = Duration::from_secs(1);

/// Called once per commit with its blocks and the new tail, on the committer's thread.
pub type OnCommit = Box<dyn Fn(&[Arc<Block>], Offset) + Send>;

/// What the committer is stats.
#[derive(Debug)]
pub(super) enum Message {
    Append(Queued),
    Close(oneshot::Sender<()>),
}

/// A batch that waits for its commit, and its share of the queue.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) batch: Batch,
    pub(super) receipt: AckSender,
    pub(super) queue_permits: OwnedSemaphorePermit,
}

/// The committer's own state; see the module.
pub(super) struct Committer {
    pub(super) options: StoreOptions,
    pub(super) shared: Arc<StoreShared>,
    pub(super) receiver: Receiver<Message>,
    pub(super) on_commit: OnCommit,
    pub(super) active: Active,
    pub(super) next_commit: u64,
    pub(super) maintenance_at: Instant,
    pace: CommitDelay,
    /// Files of forgotten segments that are still to be removed, oldest first.
    pub(super) pending_deletes: VecDeque<(u64, PathBuf)>,
    /// Held until the thread ends.
    pub(super) lock: Option<File>,
    work: Work,
}

/// What a commit works on; reused.
#[derive(Default)]
struct Work {
    staging: Staging,
    pending: Vec<(AckSender, Committed)>,
    /// The share of the queue that the commit's batches have together.
    queue_permits: Option<OwnedSemaphorePermit>,
    closing: Vec<oneshot::Sender<()>>,
    packer: Packer,
    /// The bytes of the commit's chunks.
    bytes: Vec<u8>,
    chunk_refs: Vec<ChunkRef>,
}

impl Committer {
    pub(super) fn new(
        options: StoreOptions,
        shared: Arc<StoreShared>,
        (receiver, on_commit): (Receiver<Message>, OnCommit),
        (active, next_commit, lock): (Active, u64, Option<File>),
    ) -> Self {
        let pace = CommitDelay::new(options.commit_interval);
        Self {
            options,
            shared,
            receiver,
            on_commit,
            active,
            next_commit,
            maintenance_at: Instant::now() + MAINTENANCE_PERIOD,
            pace,
            pending_deletes: VecDeque::new(),
            lock,
            work: Work::default(),
        }
    }

    /// Works until stats to close, or until nobody is left who could tell.
    pub(super) fn run(mut self) {
        while self.work.closing.is_empty() {
            let wait = self.maintenance_at.saturating_duration_since(Instant::now());
            match self.receiver.recv_timeout(wait) {
                Ok(message) => self.on_message(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.run_maintenance();
        }
        self.on_close();
    }

    fn on_message(&mut self, message: Message) {
        match message {
            Message::Close(done) => self.work.closing.push(done),
            Message::Append(queued) => {
                let waited = self.delay();
                self.gather(queued);
                self.pace.note(Instant::now(), waited, self.work.size());
                self.commit();
            }
        }
    }

    /// Lets more batches come, where that is worth it.
    fn delay(&self) -> bool {
        self.pace.wait(Instant::now()).map(std::thread::sleep).is_some()
    }

    /// Takes `first` and what else is queued, up to a commit's bounds.
    fn gather(&mut self, first: Queued) {
        let shared = self.shared.clone();
        let known = shared.directory();
        let mut bytes = first.batch.bytes();
        let mut entries = self.work.take(first, &known);
        while bytes < self.options.commit_bytes && entries < self.options.commit_entries {
            match self.receiver.try_recv() {
                Ok(Message::Append(queued)) => {
                    bytes += queued.batch.bytes();
                    entries += self.work.take(queued, &known);
                }
                Ok(Message::Close(done)) => self.work.closing.push(done),
                Err(_) => break,
            }
        }
    }

    fn commit(&mut self) {
        let time_ms = now_ms();
        self.work.staging.make_blocks(&self.shared.directory(), time_ms);
        let outcome = match self.shared.failed() {
            Some(reason) => Err(reason),
            None => self.keep(time_ms),
        };
        self.work.end(outcome);
    }

    /// Makes what is staged durable, then visible.
    fn keep(&mut self, time_ms: u64) -> Result<(), Arc<str>> {
        if !self.work.staging.blocks().is_empty() {
            self.keep_blocks(time_ms)?;
        }
        let cursors = &self.work.staging.cursors;
        if !cursors.is_empty() {
            self.shared.directory_mut().cursors.advance_all(cursors);
        }
        Ok(())
    }

    fn keep_blocks(&mut self, time_ms: u64) -> Result<(), Arc<str>> {
        if self.options.durability == Durability::Memory {
            let blocks = self.work.staging.blocks();
            self.active.note(blocks.iter().map(|block| block.payload.len()));
        } else {
            self.encode(time_ms);
            self.write().map_err(|error| self.shared.poison("a commit", &error))?;
        }
        self.next_commit += 1;
        self.active.last_time_ms = time_ms;
        self.publish();
        Ok(())
    }

    fn encode(&mut self, time_ms: u64) {
        let is_synced = self.options.durability == Durability::Fsync;
        let Work { staging, packer, bytes, chunk_refs, .. } = &mut self.work;
        let cursors = &staging.cursors;
        let chunks_in_commit = staging.blocks().len() as u32 + u32::from(!cursors.is_empty());
        bytes.clear();
        chunk_refs.clear();
        for (index, (block, previous, _)) in (0..).zip(staging.staged_blocks()) {
            let header = Header {
                synced: is_synced,
                commit: self.next_commit,
                index,
                chunks_in_commit,
                base: block.base.0,
                base_line: block.base_line,
                count: block.count,
                lines: block.lines,
                time_ms: block.time_ms,
                previous,
            };
            let start = bytes.len();
            let position = self.active.position + start as u64;
            let content = (block.task.as_str(), &block.payload[..]);
            chunk::encode(bytes, packer, self.active.seed, position, &header, content);
            chunk_refs.push(ChunkRef {
                position,
                base: header.base,
                base_line: header.base_line,
                bytes: (bytes.len() - start) as u32,
                count: header.count,
            });
        }
        if let Some(last) = staging.blocks().last().filter(|_| !cursors.is_empty()) {
            let mark = Header::control_chunk(self.next_commit, last.end().0, time_ms);
            let mark =
                Header { synced: is_synced, index: chunks_in_commit - 1, chunks_in_commit, ..mark };
            let position = self.active.position + bytes.len() as u64;
            let content = ("", &cursors.encode()[..]);
            chunk::encode(bytes, packer, self.active.seed, position, &mark, content);
        }
    }

    fn write(&mut self) -> std::io::Result<()> {
        let started = Instant::now();
        self.active.append(&self.work.bytes, self.work.chunk_refs.len())?;
        self.work.bytes.shrink_to(2 * self.options.commit_bytes);
        if self.options.durability == Durability::Fsync {
            self.active.sync()?;
        }
        self.shared.counters.note_write(self.work.bytes.len(), started.elapsed());
        Ok(())
    }

    /// Shows a commit to readers, then to the hub.
    fn publish(&self) {
        let Work { staging, chunk_refs, .. } = &self.work;
        let mut entries = 0;
        let mut directory = self.shared.directory_mut();
        for (index, (block, previous, stats)) in staging.staged_blocks().enumerate() {
            let at = chunk_refs.get(index).copied();
            directory.place(&CommittedChunk { block, previous, at }, stats);
            entries += u64::from(block.count);
        }
        let tail = Offset(directory.tail);
        drop(directory);
        self.shared.advance(tail);
        self.shared.counters.note_commit(staging.blocks().len(), entries);
        (self.on_commit)(staging.blocks(), tail);
    }

    /// Commits what is still queued, marks the end and lets the directory go.
    fn on_close(mut self) {
        while let Ok(message) = self.receiver.try_recv() {
            self.on_message(message);
        }
        if self.options.durability != Durability::Memory && self.shared.failed().is_none() {
            let marked = self.write_control_chunk(b"");
            let _reason = marked.map_err(|error| self.shared.poison("the closing mark", &error));
        }
        drop(self.lock.take());
        for done in self.work.closing.drain(..) {
            let _nobody_waits = done.send(());
        }
    }

    /// Writes a commit that is a mark alone, when all before it is durable.
    pub(super) fn write_control_chunk(&mut self, payload: &[u8]) -> std::io::Result<()> {
        self.active.sync()?;
        let header =
            Header::control_chunk(self.next_commit, self.shared.directory().tail, now_ms());
        let mut mark = Vec::new();
        let (packer, position) = (&mut self.work.packer, self.active.position);
        chunk::encode(&mut mark, packer, self.active.seed, position, &header, ("", payload));
        self.active.append(&mark, 1)?;
        self.active.sync()?;
        self.next_commit += 1;
        Ok(())
    }
}

impl Work {
    /// Takes a batch into the commit; returns how many entries it adds.
    fn take(&mut self, queued: Queued, known: &Directory) -> usize {
        let Queued { batch, receipt, queue_permits } = queued;
        let committed = self.staging.add(batch, known);
        self.pending.push((receipt, committed));
        match &mut self.queue_permits {
            Some(held) => held.merge(queue_permits),
            None => self.queue_permits = Some(queue_permits),
        }
        (committed.kept + committed.repeated) as usize
    }

    /// How many batches and entries the commit has.
    fn size(&self) -> (usize, usize) {
        let entries = self.pending.iter().map(|(_, committed)| committed.kept as usize);
        (self.pending.len(), entries.sum())
    }

    /// Lets what was staged go, then its queue_permits in the queue, then answers everyone in it.
    fn end(&mut self, outcome: Result<(), Arc<str>>) {
        self.staging.clear();
        self.queue_permits = None;
        let answer = |committed| match &outcome {
            Ok(()) => Ok(committed),
            Err(reason) => Err(AppendError::Poisoned { reason: reason.clone() }),
        };
        let pending = self.pending.drain(..);
        send_acks(pending.map(|(receipt, committed)| (receipt, answer(committed))));
    }
}
