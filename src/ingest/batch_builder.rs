//! Gathers a stream's ready entries into one batch.

use std::sync::Arc;

use super::acks::PendingAcks;
use super::reader::{Accepted, Ids, IncomingEntry, Refusal};
use crate::domain::{Batch, Kind, ProducerSession, Records, Run};
use crate::encode::{CachedClock, write_gap};

/// Where a batch is full, in encoded bytes.
const BATCH_BYTES: usize = 128 * 1024;

/// Where a batch is full, in entries.
const BATCH_ENTRIES: u64 = 1024;

/// Lines of one worker that could not be kept, not yet noted in the log.
#[derive(Debug, Clone)]
pub(super) struct LostLines {
    pub(super) ids: Ids,
    pub(super) lines: u64,
    /// Why the first of them was not kept.
    pub(super) reason: String,
}

/// The batch that is being gathered, and the answers that it owes.
#[derive(Debug)]
pub(super) struct BatchBuilder {
    batch: Batch,
    /// Whose the last run is.
    ids: Option<Arc<Ids>>,
    bytes: usize,
    expected: PendingAcks,
    loss: Option<LostLines>,
    /// What the batch notes as lost.
    noted: Vec<LostLines>,
}

/// What was gathered.
#[derive(Debug)]
pub(super) struct BuiltBatch {
    pub(super) batch: Batch,
    /// The answers that it owes.
    pub(super) expected: PendingAcks,
    /// The losses that it notes. When it is not kept they are still to be noted.
    pub(super) noted: Vec<LostLines>,
}

impl BatchBuilder {
    /// Nothing yet; the next entry has this sequence.
    pub(super) fn from(sequence: u64) -> Self {
        let (batch, ids, loss, noted) = Default::default();
        Self { batch, ids, bytes: 0, expected: PendingAcks::from(sequence), loss, noted }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.expected.is_empty() && self.loss.is_none()
    }

    pub(super) fn next_sequence(&self) -> u64 {
        self.expected.end()
    }

    pub(super) fn is_full(&self) -> bool {
        self.expected.count() >= BATCH_ENTRIES || self.bytes >= BATCH_BYTES
    }

    /// Adds one message; an entry above `entry_bytes` is refused.
    pub(super) fn add(&mut self, item: IncomingEntry, entry_bytes: usize) {
        match item.entry {
            Ok(entry) if item.wire_bytes <= entry_bytes => self.keep(entry),
            Ok(entry) => {
                let reason =
                    format!("entry is {} bytes, the limit is {entry_bytes}", item.wire_bytes);
                self.refuse(Refusal { ids: Some(Ids::clone(&entry.ids)), reason });
            }
            Err(refusal) => self.refuse(refusal),
        }
    }

    fn keep(&mut self, entry: Accepted) {
        self.note_loss();
        self.expected.keep();
        self.bytes += entry.records.as_bytes().len();
        let is_same = self.is_of(&entry.ids);
        let last = self.batch.runs.last_mut();
        match last.filter(|run| is_same && continues(run, &entry)) {
            Some(run) => extend(run, entry),
            None => {
                self.ids = Some(Arc::clone(&entry.ids));
                self.batch.runs.push(start(entry));
            }
        }
    }

    /// Whether the last run is of `ids`. Ids that are shared need no look at their text.
    pub(super) fn is_of(&self, ids: &Arc<Ids>) -> bool {
        self.ids.as_ref().is_some_and(|last| Arc::ptr_eq(last, ids) || last == ids)
    }

    fn refuse(&mut self, refusal: Refusal) {
        if let Some(ids) = refusal.ids {
            self.lose(LostLines { ids, lines: 1, reason: refusal.reason.clone() });
        }
        self.expected.drop(refusal.reason);
    }

    /// Notes lines that could not be kept; those of one worker in a row make one gap.
    pub(super) fn lose(&mut self, loss: LostLines) {
        match &mut self.loss {
            Some(known) if known.ids == loss.ids => known.lines += loss.lines,
            _ => {
                self.note_loss();
                self.loss = Some(loss);
            }
        }
    }

    fn note_loss(&mut self) {
        let Some(loss) = self.loss.take() else { return };
        let ids = (loss.ids.task.as_str(), loss.ids.worker.as_str());
        let mut records = Records::default();
        let stamp = CachedClock::now();
        records.push_with(Kind::Gap, |out| {
            write_gap(out, ids, loss.lines, &loss.reason, stamp.as_str())
        });
        self.bytes += records.as_bytes().len();
        let Ids { task, worker } = loss.ids.clone();
        self.batch.runs.push(Run { task, worker, session: None, records });
        self.ids = None;
        self.noted.push(loss);
    }

    pub(super) fn finish(mut self) -> BuiltBatch {
        self.note_loss();
        let Self { batch, expected, noted, .. } = self;
        BuiltBatch { batch, expected, noted }
    }
}

fn continues(run: &Run, entry: &Accepted) -> bool {
    let same_session = match (&run.session, &entry.seq) {
        (None, None) => !run.records.is_empty(),
        (Some(session), Some((id, _))) => session.id == *id,
        _ => false,
    };
    // Where the reader's buffer ends a run ends too: its head costs less than a copy.
    same_session && run.records.is_followed_by(&entry.records)
}

fn extend(run: &mut Run, entry: Accepted) {
    if let (Some(session), Some((_, seq))) = (&mut run.session, entry.seq) {
        session.seqs.push(seq);
    }
    run.records.append(entry.records);
}

fn start(entry: Accepted) -> Run {
    let Accepted { ids, seq, records } = entry;
    let Ids { task, worker } = Ids::clone(&ids);
    let session = seq.map(|(id, seq)| ProducerSession { id, seqs: vec![seq] });
    Run { task, worker, session, records }
}

/// The lines that are lost when `batch` cannot be kept: those whose producer does not number
/// them. Numbered ones are sent again.
pub(super) fn lines_lost_with(batch: &Batch, reason: &str) -> Vec<LostLines> {
    let lines =
        |run: &Run| run.records.iter().filter(|(kind, _)| *kind == Kind::Log).count() as u64;
    let loss = |run: &Run| LostLines {
        ids: Ids { task: run.task.clone(), worker: run.worker.clone() },
        lines: lines(run),
        reason: reason.to_owned(),
    };
    let unnumbered = batch.runs.iter().filter(|run| run.session.is_none());
    unnumbered.map(loss).filter(|loss| loss.lines > 0).collect()
}
