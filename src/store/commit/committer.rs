//! The committer: takes what is queued, stages, writes and syncs it, publishes, acknowledges.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::ack::{AckSender, send_acks};
use super::group_commit::{CommitDelay, CommitSize};
use super::indexer::Indexer;
use super::queue::{Message, QueuedBatch};
use super::segment_writer::{CommitHeader, SegmentWriter};
use super::staging::Staging;
use crate::domain::{Block, Offset, TaskId};
use crate::store::format::Millis;
use crate::store::limits::WallClock;
use crate::store::log::{AppendError, Committed};
use crate::store::options::StoreOptions;
use crate::store::retention::Retention;
use crate::store::shared::StoreShared;
use crate::store::task_index::TaskIndex;
use crate::store::writing::WriteError;
use crate::store::writing::{self, StallWatch};

/// How often age and retention are looked at.
pub(super) const MAINTENANCE_PERIOD: Duration = Duration::from_secs(1);

/// Called once per commit with its blocks and the new tail, on the committer's thread.
pub type OnCommit = Box<dyn Fn(&[Arc<Block>], Offset) + Send>;

/// Called with the tasks that were deleted, on the committer's thread.
pub type OnDelete = Box<dyn Fn(&[TaskId]) + Send>;

/// The committer's own state; see the module.
pub(in crate::store) struct Committer {
    pub(super) shared: Arc<StoreShared>,
    pub(super) receiver: Receiver<Message>,
    /// What was taken out of the queue while waiting; it comes before what is in the queue.
    pub(super) taken_in: VecDeque<Message>,
    on_commit: OnCommit,
    pub(super) on_delete: OnDelete,
    pub(super) segments: Box<dyn SegmentWriter>,
    pub(super) retention: Retention,
    pub(super) clock: WallClock,
    /// `None` where there are no files.
    pub(super) indexer: Option<Indexer>,
    /// Tasks that the index has up to here may go, once nothing is staged.
    pub(super) evictable_to: Option<Offset>,
    pub(super) catalog_bytes: usize,
    pub(super) next_commit: u64,
    pub(super) maintenance_at: Instant,
    pub(super) sealed_at: Option<Instant>,
    /// Bytes that are to stay free on the volume.
    pub(super) min_free_bytes: u64,
    /// Bytes written since it was looked how many are free.
    pub(super) unlooked_bytes: u64,
    commit_bytes: usize,
    commit_entries: usize,
    delay: CommitDelay,
    pub(super) staging: Staging,
    acks: CommitAcks,
    /// The commit's blocks, for the hub.
    blocks: Vec<Arc<Block>>,
    pub(super) closing: Vec<oneshot::Sender<()>>,
    /// Set when the store closed while it waited for a fault to pass: nothing more is kept.
    pub(super) has_given_up: bool,
    /// Tells when a write hangs, where there are files.
    _stall: Option<StallWatch>,
}

/// The batches of a commit that are to be acknowledged, and their queue permits.
#[derive(Default)]
struct CommitAcks {
    batches: Vec<(AckSender, Committed)>,
    queue_permits: Option<OwnedSemaphorePermit>,
}

impl Committer {
    /// # Errors
    /// When the system gives no thread for the task index or the watch.
    pub(in crate::store) fn new(
        options: &StoreOptions,
        shared: Arc<StoreShared>,
        receiver: Receiver<Message>,
        (on_commit, on_delete): (OnCommit, OnDelete),
        segments: Box<dyn SegmentWriter>,
        next_commit: u64,
    ) -> io::Result<Self> {
        let start = |index: &Arc<TaskIndex>| Indexer::start(Arc::clone(index), shared.epoch);
        let indexer = shared.index.as_ref().map(start).transpose()?;
        let watch = |_| writing::watch(Arc::clone(&shared), options.stall_timeout);
        let stall = indexer.as_ref().map(watch).transpose()?;
        if let Some(room) = segments.room() {
            shared.counters.note_room(room);
        }
        let newest = shared.catalog().newest_time().unwrap_or_else(|| options.clock.now());
        Ok(Self {
            shared,
            receiver,
            taken_in: VecDeque::new(),
            on_commit,
            on_delete,
            segments,
            retention: Retention::new(options, newest),
            clock: options.clock.clone(),
            indexer,
            evictable_to: None,
            catalog_bytes: options.catalog_bytes,
            next_commit,
            maintenance_at: Instant::now() + MAINTENANCE_PERIOD,
            sealed_at: None,
            min_free_bytes: options.min_free_bytes.unwrap_or(0),
            unlooked_bytes: 0,
            commit_bytes: options.commit_bytes,
            commit_entries: options.commit_entries,
            delay: CommitDelay::new(options.commit_interval),
            staging: Staging::default(),
            acks: CommitAcks::default(),
            blocks: Vec::new(),
            closing: Vec::new(),
            has_given_up: false,
            _stall: stall,
        })
    }

    /// Works until told to close, or until nobody is left who could tell.
    pub(in crate::store) fn run(mut self) {
        self.begin_segment();
        while self.closing.is_empty() {
            match self.next_message() {
                Ok(message) => self.on_message(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.run_maintenance();
        }
        self.on_close();
    }

    /// The next message, but not later than the next maintenance.
    fn next_message(&mut self) -> Result<Message, RecvTimeoutError> {
        match self.taken_in.pop_front() {
            Some(message) => Ok(message),
            None => {
                let wait = self.maintenance_at.saturating_duration_since(Instant::now());
                self.receiver.recv_timeout(wait)
            }
        }
    }

    /// The next message, if there is one.
    fn try_next_message(&mut self) -> Result<Message, TryRecvError> {
        match self.taken_in.pop_front() {
            Some(message) => Ok(message),
            None => self.receiver.try_recv(),
        }
    }

    fn on_message(&mut self, message: Message) {
        match message {
            Message::Close(done) => self.closing.push(done),
            Message::Delete(deletion) => self.on_deletion(deletion),
            Message::Append(first) => {
                let is_delayed = self.delay();
                self.take(first);
                self.delay.note(Instant::now(), is_delayed, self.acks.size());
                self.commit();
            }
        }
    }

    /// Lets more batches come, where that is worth it.
    fn delay(&self) -> bool {
        self.delay.before_next(Instant::now()).map(std::thread::sleep).is_some()
    }

    fn commit(&mut self) {
        let time = self.clock.now();
        self.stage(time);
        let written = self.write(time);
        if written.is_ok() {
            self.publish();
        }
        self.staging.clear();
        self.acknowledge(written);
    }

    /// Takes `first` and what else is queued, up to a commit's bounds.
    fn take(&mut self, first: QueuedBatch) {
        let mut bytes = first.batch.bytes();
        let mut entries = self.take_batch(first);
        while bytes < self.commit_bytes && entries < self.commit_entries {
            match self.try_next_message() {
                Ok(Message::Append(queued)) => {
                    bytes += queued.batch.bytes();
                    entries += self.take_batch(queued);
                }
                Ok(Message::Close(done)) => self.closing.push(done),
                // A commit of its own, after this one.
                Ok(deletion @ Message::Delete(_)) => {
                    self.taken_in.push_front(deletion);
                    break;
                }
                Err(_) => break,
            }
        }
    }

    /// Returns how many entries the batch adds.
    fn take_batch(&mut self, queued: QueuedBatch) -> usize {
        let QueuedBatch { batch, receipt, queue_permits } = queued;
        batch.runs.iter().for_each(|run| self.make_resident(&run.task));
        let committed = self.staging.add(batch, &self.shared.catalog());
        self.acks.push(receipt, committed, queue_permits);
        (committed.kept + committed.repeated) as usize
    }

    /// Loads what the index has of `task`. Only the committer makes tasks resident or lets them go,
    /// so it stays until the commit is made.
    fn make_resident(&mut self, task: &TaskId) {
        let Some(index) = &self.shared.index else { return };
        if self.staging.has(task) || self.shared.catalog().has_all_of(task) {
            return;
        }
        match index.reader().and_then(|reader| reader.load(task.as_str())) {
            Ok(None) => {}
            Ok(Some(indexed)) => drop(self.shared.catalog_mut().add_indexed(task, &indexed)),
            // Going on would number the task's lines anew.
            Err(error) => drop(self.shared.poison("the task index", &io::Error::other(error))),
        }
    }

    fn stage(&mut self, time: Millis) {
        self.staging.make_blocks(&self.shared.catalog(), time);
    }

    /// Makes what is staged durable.
    fn write(&mut self, time: Millis) -> Result<(), AppendError> {
        if let Some(reason) = self.shared.failed() {
            return Err(AppendError::Poisoned { reason });
        }
        if self.staging.staged_blocks().is_empty() {
            return Ok(());
        }
        self.until_done("a commit", |committer| committer.try_write(time))?;
        self.next_commit += 1;
        Ok(())
    }

    fn try_write(&mut self, time: Millis) -> Result<(), WriteError> {
        let started = Instant::now();
        let commit = CommitHeader { number: self.next_commit, time };
        let (blocks, cursors) = self.staging.pending_write();
        let bytes = self.segments.write(commit, blocks, cursors)?;
        self.segments.sync()?;
        self.shared.counters.note_write(bytes, started.elapsed());
        self.unlooked_bytes += bytes as u64;
        Ok(())
    }

    /// Shows a commit to readers, then to the hub.
    fn publish(&mut self) {
        let staged = self.staging.staged_blocks();
        let mut entries = 0;
        let mut catalog = self.shared.catalog_mut();
        catalog.committed_at = Some(Instant::now());
        for block in staged {
            catalog.add_chunk(&block.committed(), self.staging.stats(block));
            entries += u64::from(block.block.count);
        }
        catalog.cursors.advance_all(self.staging.cursors());
        let tail = catalog.tail;
        drop(catalog);
        if !staged.is_empty() {
            self.shared.advance(tail);
            self.shared.counters.note_commit(staged.len(), entries);
            self.shared.counters.note_gaps(self.staging.gaps());
            self.blocks.extend(staged.iter().map(|staged| Arc::clone(&staged.block)));
            (self.on_commit)(&self.blocks, tail);
            self.blocks.clear();
        }
    }

    fn acknowledge(&mut self, written: Result<(), AppendError>) {
        self.acks.send(written);
    }

    /// Commits what is still queued, marks the end and lets the data directory go.
    fn on_close(mut self) {
        while let Ok(message) = self.try_next_message() {
            self.on_message(message);
        }
        if self.shared.failed().is_none() && !self.has_given_up {
            self.mark_end();
        }
        self.finish_index();
        self.segments.close();
        for done in self.closing.drain(..) {
            let _nobody_waits = done.send(());
        }
    }

    /// Writes that all before is durable. Without it the next opening reads more, and loses nothing.
    fn mark_end(&mut self) {
        let commit = CommitHeader { number: self.next_commit, time: self.clock.now() };
        let tail = self.shared.catalog().tail;
        match self.segments.write_control_chunk(commit, tail, &Default::default()) {
            Ok(_) => {}
            Err(WriteError::Passing(fault)) => {
                let reason = fault.reason(self.segments.room());
                tracing::warn!(%reason, "closed without a mark that all is durable");
            }
            Err(WriteError::Lasting(error)) => {
                drop(self.shared.poison("the closing control chunk", &error));
            }
        }
    }
}

impl CommitAcks {
    fn push(&mut self, receipt: AckSender, committed: Committed, permits: OwnedSemaphorePermit) {
        self.batches.push((receipt, committed));
        match &mut self.queue_permits {
            Some(held) => held.merge(permits),
            None => self.queue_permits = Some(permits),
        }
    }

    fn size(&self) -> CommitSize {
        let entries = self.batches.iter().map(|(_, committed)| committed.kept as usize);
        CommitSize { batches: self.batches.len(), entries: entries.sum() }
    }

    /// Releases the queue permits, then acknowledges.
    fn send(&mut self, written: Result<(), AppendError>) {
        self.queue_permits = None;
        let result = |committed| written.clone().map(|()| committed);
        let batches = self.batches.drain(..);
        send_acks(batches.map(|(receipt, committed)| (receipt, result(committed))));
    }
}
