//! Puts the entries of a stream that have arrived into one batch.

use std::iter::repeat_n;
use std::sync::Arc;

use super::acks::PendingAcks;
use super::budget::Reservation;
use super::reader::{Accepted, Ids, IncomingEntry, ProducerSeq, Refusal};
use crate::domain::{Batch, Kind, ProducerSession, Run, TaskId};
use crate::encode::gap_run;

/// A batch with this many encoded bytes is full.
const BATCH_BYTES: usize = 128 * 1024;

/// A batch with this many entries is full.
const BATCH_ENTRIES: u64 = 1024;

/// Gaps that may still grow, at most. Further ones are for a producer that refuses to make sense.
const MAX_GROWING_LOSSES: usize = 64;

/// What a run or a refusal takes beside its bytes; about.
const ITEM_BYTES: usize = 128;

/// Lines of one worker that could not be kept, to be noted in its task's log as a gap.
#[derive(Debug, Clone)]
pub(super) struct LostLines {
    pub(super) ids: Ids,
    /// How many, where it is known.
    pub(super) lines: Option<u64>,
    /// Why the first of them was not kept.
    pub(super) reason: String,
}

/// A batch that still grows, and the acks that its entries wait for.
#[derive(Debug)]
pub(super) struct BatchBuilder {
    batch: Batch,
    /// The task and worker of the last run.
    ids: Option<Arc<Ids>>,
    bytes: usize,
    pending_acks: PendingAcks,
    /// The next gaps, which may still grow: one for each worker, until an entry of its task comes.
    losses: Vec<LostLines>,
    /// The gaps that are in the batch.
    noted_losses: Vec<LostLines>,
    budget: Option<Reservation>,
}

/// A batch that is ready for the log.
#[derive(Debug)]
pub(super) struct BuiltBatch {
    pub(super) batch: Batch,
    pub(super) pending_acks: PendingAcks,
    /// The gaps that are in the batch; when it is not kept, a later batch must note them.
    pub(super) noted_losses: Vec<LostLines>,
}

impl BatchBuilder {
    /// An empty batch, whose first entry has this sequence.
    pub(super) fn starting_at(sequence: u64) -> Self {
        let (batch, ids, losses, noted_losses, budget) = Default::default();
        let pending_acks = PendingAcks::starting_at(sequence);
        Self { batch, ids, bytes: 0, pending_acks, losses, noted_losses, budget }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending_acks.is_empty() && self.losses.is_empty()
    }

    /// Whether it would write gaps and nothing else.
    pub(super) fn has_only_losses(&self) -> bool {
        self.batch.runs.is_empty() && !self.losses.is_empty()
    }

    /// The acks of what was refused, which depend on no batch; its gaps may grow on.
    pub(super) fn take_refused(&mut self) -> PendingAcks {
        let next = PendingAcks::starting_at(self.next_sequence());
        let mut refused = std::mem::replace(&mut self.pending_acks, next);
        refused.hold(self.budget.take());
        self.bytes = ITEM_BYTES * self.losses.len();
        refused
    }

    pub(super) fn next_sequence(&self) -> u64 {
        self.pending_acks.end()
    }

    pub(super) fn is_full(&self) -> bool {
        self.pending_acks.count() >= BATCH_ENTRIES || self.bytes >= BATCH_BYTES
    }

    /// Bytes that it has no memory for.
    pub(super) fn bytes_without_budget(&self) -> usize {
        self.bytes.saturating_sub(self.budget.as_ref().map_or(0, Reservation::bytes))
    }

    /// Holds `budget` for what is added.
    pub(super) fn add_budget(&mut self, budget: Reservation) {
        Reservation::merge(&mut self.budget, budget);
    }

    /// Adds one message.
    pub(super) fn add(&mut self, incoming: IncomingEntry) {
        let IncomingEntry { entry, budget, .. } = incoming;
        if let Some(budget) = budget {
            self.add_budget(budget);
        }
        match entry {
            Ok(entry) => self.add_accepted(entry),
            Err(refusal) => self.add_refused(refusal),
        }
    }

    fn add_accepted(&mut self, entry: Accepted) {
        if !self.losses.is_empty() {
            self.note_losses_of(&entry.ids.task);
        }
        self.pending_acks.add();
        self.bytes += entry.records.as_bytes().len();
        let is_same = self.is_of(&entry.ids);
        let last = self.batch.runs.last_mut();
        match last.filter(|run| is_same && continues(run, &entry)) {
            Some(run) => extend(run, entry),
            None => {
                self.bytes += ITEM_BYTES;
                self.ids = Some(Arc::clone(&entry.ids));
                self.batch.runs.push(start(entry));
            }
        }
    }

    /// Whether the last run is of `ids`. Shared ids are equal without a look at their text.
    pub(super) fn is_of(&self, ids: &Arc<Ids>) -> bool {
        self.ids.as_ref().is_some_and(|last| Arc::ptr_eq(last, ids) || last == ids)
    }

    fn add_refused(&mut self, refusal: Refusal) {
        self.bytes += ITEM_BYTES + refusal.reason.len();
        if let Some(ids) = refusal.ids {
            self.add_loss(LostLines { ids, lines: Some(1), reason: refusal.reason.clone() });
        }
        self.pending_acks.add_dropped(refusal.reason);
    }

    /// Adds a gap for lines that could not be kept. Those of one worker make one gap, where their
    /// number is known, until an entry of its task comes: whoever sends what is refused must not fill
    /// the log with gaps.
    pub(super) fn add_loss(&mut self, loss: LostLines) {
        if let Some(more) = loss.lines
            && let Some(lines) = self.growing_loss(&loss.ids)
        {
            *lines += more;
            return;
        }
        if self.losses.len() == MAX_GROWING_LOSSES {
            let oldest = self.losses.remove(0);
            self.note(oldest);
        }
        self.losses.push(loss);
    }

    fn growing_loss(&mut self, ids: &Ids) -> Option<&mut u64> {
        let mut losses = self.losses.iter_mut().rev();
        losses.find_map(|known| known.lines.as_mut().filter(|_| known.ids == *ids))
    }

    fn note_losses_of(&mut self, task: &TaskId) {
        let of_task = self.losses.extract_if(.., |loss| loss.ids.task == *task);
        of_task.collect::<Vec<_>>().into_iter().for_each(|loss| self.note(loss));
    }

    fn note(&mut self, loss: LostLines) {
        let Ids { task, worker } = &loss.ids;
        let run = gap_run(task, worker, loss.lines, &loss.reason);
        self.bytes += run.records.as_bytes().len();
        self.batch.runs.push(run);
        self.ids = None;
        self.noted_losses.push(loss);
    }

    pub(super) fn finish(mut self) -> BuiltBatch {
        std::mem::take(&mut self.losses).into_iter().for_each(|loss| self.note(loss));
        let Self { batch, mut pending_acks, noted_losses, budget, .. } = self;
        pending_acks.hold(budget);
        BuiltBatch { batch, pending_acks, noted_losses }
    }
}

fn continues(run: &Run, entry: &Accepted) -> bool {
    let same_session = match (&run.session, &entry.producer_seq) {
        (None, None) => !run.records.is_empty(),
        (Some(session), Some(producer_seq)) => session.id == producer_seq.session,
        _ => false,
    };
    // A new reader's buffer begins a new run: a run's head costs less than a copy.
    same_session && run.records.is_followed_by(&entry.records)
}

fn extend(run: &mut Run, entry: Accepted) {
    if let (Some(session), Some(producer_seq)) = (&mut run.session, entry.producer_seq) {
        session.seqs.extend(repeat_n(producer_seq.seq, entry.records.count() as usize));
    }
    run.records.append(entry.records);
}

fn start(entry: Accepted) -> Run {
    let Accepted { ids, producer_seq, records, .. } = entry;
    let Ids { task, worker } = Ids::clone(&ids);
    let count = records.count() as usize;
    let session = producer_seq.map(|ProducerSeq { session, seq }| ProducerSession {
        id: session,
        seqs: vec![seq; count],
    });
    Run { task, worker, session, records }
}

/// The lines that are lost when `batch` cannot be kept: those without a producer's number.
/// Numbered ones are sent again.
pub(super) fn lines_lost_with(batch: &Batch, reason: &str) -> Vec<LostLines> {
    let lines =
        |run: &Run| run.records.iter().filter(|(kind, _)| *kind == Kind::Log).count() as u64;
    let loss = |run: &Run| LostLines {
        ids: Ids { task: run.task.clone(), worker: run.worker.clone() },
        lines: Some(lines(run)),
        reason: reason.to_owned(),
    };
    let unnumbered = batch.runs.iter().filter(|run| run.session.is_none());
    unnumbered.map(loss).filter(|loss| loss.lines > Some(0)).collect()
}
