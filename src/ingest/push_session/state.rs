//! The state machine of a push session: read, append, acknowledge.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream, StreamExt};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::super::acks::{Ack, AckMode, AckStatus, Acks, PendingAcks};
use super::super::active_tasks::ActiveTasks;
use super::super::batch_builder::{BatchBuilder, BuiltBatch, LostLines, lines_lost_with};
use super::super::budget::{FREE_BYTES, Reservation};
use super::super::cut::{self, CarriedWorkers};
use super::super::intake::{Intake, StreamPermit};
use super::super::reader::IncomingEntry;
use super::gap_interval::GapInterval;
use super::idle_ack::IdleAck;
use super::in_flight::{AppendInTime, BatchState, InFlight, PendingAppend};
use super::stream_log::{StreamEnd, StreamLog};
use super::throttle::ack_throttle_ms;
use super::unfinished::StreamUnfinished;
use crate::domain::Batch;
use crate::store::{AppendError, Committed, TryAppendError};

/// Batches of one stream on their way to the disk at once.
pub(super) const MAX_IN_FLIGHT: usize = 4;

/// The memory that a stream takes at a time, in bytes.
const ROOM_BYTES: usize = 32 * 1024;

/// The wait that a RETRY asks for, in milliseconds.
pub(super) const RETRY_THROTTLE_MS: u32 = 1000;

/// Why a session ended before its producer ended it.
#[derive(Debug)]
pub enum SessionEnd<E> {
    /// The transport failed, or the producer broke its rules.
    Inbound(E),
    /// The log takes nothing more.
    Log(AppendError),
    /// The server is shutting down; everything that arrived is acknowledged.
    Draining,
}

/// What a [`PushSession`](super::PushSession) is until it ends.
pub(super) struct SessionState<S, E> {
    intake: Intake,
    // Before the permit: whoever waits for the last permit finds no task active any more.
    active_tasks: ActiveTasks,
    carried: CarriedWorkers,
    /// Before the permit, too: once it is given back, what the stream did is in the log.
    pub(super) log: StreamLog,
    _permit: StreamPermit,
    mode: AckMode,
    /// `None` once nothing more is read.
    inbound: Option<S>,
    /// How the session ends; `None` when the producer ends it.
    end: Option<SessionEnd<E>>,
    drain: Pin<Box<WaitForCancellationFutureOwned>>,
    builder: BatchBuilder,
    unfinished: StreamUnfinished,
    gap_interval: GapInterval,
    /// Set while there is no memory for more entries.
    waiting_for_budget: Option<BoxFuture<'static, Reservation>>,
    pending_append: Option<PendingAppend>,
    /// The oldest first.
    in_flight: VecDeque<InFlight>,
    acks: Acks,
    idle_ack: IdleAck,
    /// Set once a batch was acknowledged with RETRY: numbered entries behind it must not be kept
    /// before it is sent again, or its numbers would look like repeats.
    has_stalled: bool,
}

impl<S, E> SessionState<S, E>
where
    S: Stream<Item = Result<IncomingEntry, E>> + Unpin + Send + 'static,
    E: Send + 'static,
{
    pub(super) fn new(intake: Intake, permit: StreamPermit, mode: AckMode, inbound: S) -> Self {
        let drain = Box::pin(intake.shared().drain.clone().cancelled_owned());
        let idle_ack = IdleAck::new(intake.limits().idle_ack);
        Self {
            log: StreamLog::new(intake.clone()),
            intake,
            active_tasks: ActiveTasks::default(),
            carried: CarriedWorkers::default(),
            _permit: permit,
            mode,
            inbound: Some(inbound),
            end: None,
            drain,
            builder: BatchBuilder::starting_at(1),
            unfinished: StreamUnfinished::default(),
            gap_interval: GapInterval::default(),
            waiting_for_budget: None,
            pending_append: None,
            in_flight: VecDeque::new(),
            acks: Acks::none(mode),
            idle_ack,
            has_stalled: false,
        }
    }

    /// Whether every entry that arrived is decided; its acks may still have to go.
    pub(super) fn is_done(&self) -> bool {
        self.inbound.is_none() && self.is_idle()
    }

    fn is_idle(&self) -> bool {
        self.builder.is_empty() && self.pending_append.is_none() && self.in_flight.is_empty()
    }

    /// The next ack; at the end `None`, or why the session ended.
    pub(super) fn poll_ack(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Ack, SessionEnd<E>>>> {
        loop {
            if let Some(ack) = self.acks.next() {
                self.idle_ack.note(&ack);
                return Poll::Ready(Some(Ok(ack)));
            }
            let has_acks = self.poll_oldest(context).is_ready();
            let has_appended = self.poll_pending_append(context).is_ready();
            let has_read = self.poll_inbound(context).is_ready();
            if has_acks || has_appended || has_read {
                continue;
            }
            if self.is_done() {
                return Poll::Ready(self.end.take().map(Err));
            }
            if self.is_idle() {
                self.unfinished.show(self.intake.shared().tasks.hub());
                return self.idle_ack.poll(context).map(|ack| Some(Ok(ack)));
            }
            return Poll::Pending;
        }
    }

    /// Ready when the oldest batch in flight became acks.
    fn poll_oldest(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(oldest) = self.in_flight.front_mut() else { return Poll::Pending };
        let committed = match &mut oldest.state {
            BatchState::Queued(receipt) => Some(ready!(receipt.poll_unpin(context))),
            BatchState::Empty => Some(Ok(Committed { kept: 0, repeated: 0 })),
            BatchState::Stalled => None,
        };
        let Some(InFlight { pending_acks, .. }) = self.in_flight.pop_front() else {
            return Poll::Pending;
        };
        match committed {
            Some(Ok(committed)) => self.on_committed(pending_acks, committed),
            Some(Err(error)) => self.fail(error),
            None => self.on_stalled(pending_acks),
        }
        Poll::Ready(())
    }

    fn on_committed(&mut self, pending_acks: PendingAcks, committed: Committed) {
        let shared = self.intake.shared();
        shared.counters.add_committed(committed, pending_acks.dropped_count());
        let throttle_ms = ack_throttle_ms(shared.log.pressure());
        shared.counters.add_acked(pending_acks.waited(), throttle_ms);
        self.log.note_committed(committed, pending_acks.dropped_count());
        self.acks = Acks::new(pending_acks, AckStatus::Kept, throttle_ms, self.mode);
    }

    fn on_stalled(&mut self, pending_acks: PendingAcks) {
        let status = AckStatus::Retry(stall_reason(&self.intake));
        self.acks = Acks::new(pending_acks, status, RETRY_THROTTLE_MS, self.mode);
    }

    /// Ready when the batch that waited is queued, or has waited too long.
    fn poll_pending_append(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(pending) = &mut self.pending_append else { return Poll::Pending };
        let appended = ready!(pending.append.poll_unpin(context));
        let Some(PendingAppend { pending_acks, losses, .. }) = self.pending_append.take() else {
            return Poll::Pending;
        };
        match appended {
            Ok(Ok(receipt)) => self.push_in_flight(BatchState::Queued(receipt), pending_acks),
            Ok(Err(error)) => self.fail(error),
            Err(_elapsed) => {
                self.has_stalled = true;
                self.push_stalled(pending_acks, losses);
            }
        }
        Poll::Ready(())
    }

    /// A batch that is not kept: its entries get RETRY, a later batch notes its losses.
    fn push_stalled(&mut self, pending_acks: PendingAcks, losses: Vec<LostLines>) {
        losses.into_iter().for_each(|loss| self.builder.add_loss(loss));
        self.intake.shared().counters.retried.add(pending_acks.count());
        self.log.note_retried(pending_acks.count());
        self.push_in_flight(BatchState::Stalled, pending_acks);
    }

    fn push_in_flight(&mut self, state: BatchState, mut pending_acks: PendingAcks) {
        pending_acks.release_budget();
        self.in_flight.push_back(InFlight { state, pending_acks });
    }

    /// Ready when a batch went on its way, or the inbound stream ended.
    fn poll_inbound(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.pending_append.is_some() {
            return Poll::Pending;
        }
        let had_inbound = self.inbound.is_some();
        self.read_ready(context);
        let has_ended = had_inbound && self.inbound.is_none();
        if self.may_submit() {
            if self.must_wait_with_gaps(context) {
                if self.answer_refused() {
                    return Poll::Ready(());
                }
            } else if !self.builder.is_empty() {
                self.submit();
                return Poll::Ready(());
            }
        }
        if has_ended { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether the next batch would hold only gaps, too soon after one that did.
    fn must_wait_with_gaps(&mut self, context: &mut Context<'_>) -> bool {
        let has_only_gaps = self.inbound.is_some() && self.builder.has_only_losses();
        has_only_gaps && self.gap_interval.runs(context)
    }

    /// Answers what was refused, before its gaps are written; returns whether there was something.
    fn answer_refused(&mut self) -> bool {
        let refused = self.builder.take_refused();
        let has_refused = !refused.is_empty();
        if has_refused {
            self.push_in_flight(BatchState::Empty, refused);
        }
        has_refused
    }

    /// A batch goes at once when none is in flight, and otherwise when it is full: what comes
    /// while one is being committed shares the next commit. At the end all goes.
    fn may_submit(&self) -> bool {
        let may_add = self.in_flight.len() < MAX_IN_FLIGHT;
        self.in_flight.is_empty() || self.inbound.is_none() || (self.builder.is_full() && may_add)
    }

    /// Reads what is ready, up to a full batch.
    fn read_ready(&mut self, context: &mut Context<'_>) {
        while !self.builder.is_full()
            && self.poll_budget(context).is_ready()
            && let Some(inbound) = &mut self.inbound
        {
            match inbound.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(incoming))) => self.take(incoming),
                Poll::Ready(Some(Err(error))) => {
                    self.stop_reading(Some(SessionEnd::Inbound(error)));
                    cut::note_cut(self.carried.take(), &self.intake, &mut self.builder);
                }
                Poll::Ready(None) => self.stop_reading(None),
                Poll::Pending => return self.poll_drain(context),
            }
        }
    }

    fn take(&mut self, incoming: IncomingEntry) {
        self.activate(&incoming);
        if let Some(incoming) = self.unfinished.take(incoming) {
            self.builder.add(incoming);
        }
    }

    /// Ready when the builder may take one more ordinary entry.
    fn poll_budget(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.builder.bytes_without_budget() < FREE_BYTES {
            // A wait that goes on would keep the memory that it gets from others.
            self.waiting_for_budget = None;
            return Poll::Ready(());
        }
        let all = self.intake.budget();
        let budget = match &mut self.waiting_for_budget {
            Some(waiting) => Some(ready!(waiting.poll_unpin(context))),
            None => all.try_encoded(ROOM_BYTES),
        };
        let Some(budget) = budget else {
            self.waiting_for_budget = Some(all.encoded(ROOM_BYTES));
            return self.poll_budget(context);
        };
        self.waiting_for_budget = None;
        self.builder.add_budget(budget);
        Poll::Ready(())
    }

    /// Called when all that has arrived is read: stops there when the server is shutting down.
    fn poll_drain(&mut self, context: &mut Context<'_>) {
        if self.drain.as_mut().poll_unpin(context).is_ready() {
            self.stop_reading(Some(SessionEnd::Draining));
        }
    }

    fn stop_reading(&mut self, end: Option<SessionEnd<E>>) {
        self.log.note_end(match &end {
            None => StreamEnd::Done,
            Some(SessionEnd::Inbound(_)) => StreamEnd::Cut,
            Some(SessionEnd::Draining) => StreamEnd::Draining,
            Some(SessionEnd::Log(_)) => StreamEnd::StoreFailed,
        });
        self.inbound = None;
        self.end = end;
    }

    /// Notes which tasks the stream keeps active, and which workers it carries; nearly always one.
    fn activate(&mut self, incoming: &IncomingEntry) {
        let shared = self.intake.shared();
        match &incoming.entry {
            Ok(accepted) if !self.builder.is_of(&accepted.ids) => {
                self.active_tasks.activate(&shared.tasks, &accepted.ids.task);
                self.carried.note(accepted, &shared.resumptions);
                self.log.note_ids(&accepted.ids, self.active_tasks.activated());
            }
            Ok(_) => {}
            Err(refusal) => shared.log_lines.note_drop(refusal),
        }
    }

    fn submit(&mut self) {
        if self.builder.has_only_losses() {
            self.gap_interval.begin();
        }
        let next = BatchBuilder::starting_at(self.builder.next_sequence());
        let BuiltBatch { batch, pending_acks, noted_losses } =
            std::mem::replace(&mut self.builder, next).finish();
        if batch.runs.is_empty() {
            return self.push_in_flight(BatchState::Empty, pending_acks);
        }
        if self.has_stalled && batch.runs.iter().any(|run| run.session.is_some()) {
            let losses = self.losses(&batch, noted_losses);
            self.push_stalled(pending_acks, losses);
            return self.submit_losses();
        }
        let shared = self.intake.shared();
        shared.counters.bytes.add(batch.bytes() as u64);
        match shared.log.try_append(batch) {
            Ok(receipt) => self.push_in_flight(BatchState::Queued(receipt), pending_acks),
            Err(TryAppendError::Full(batch)) => {
                shared.counters.queue_waits.add(1);
                let losses = self.losses(&batch, noted_losses);
                let append = self.append_in_time(batch);
                self.pending_append = Some(PendingAppend { append, pending_acks, losses });
            }
            Err(TryAppendError::Failed(error)) => self.fail(error),
        }
    }

    /// Submits what only notes losses, at once: the next entries may be numbered, too.
    fn submit_losses(&mut self) {
        if !self.builder.is_empty() {
            self.submit();
        }
    }

    /// What is lost when `batch` is not kept, which holds gaps for `noted_losses`.
    fn losses(&self, batch: &Batch, noted_losses: Vec<LostLines>) -> Vec<LostLines> {
        let mut losses = noted_losses;
        losses.extend(lines_lost_with(batch, &stall_reason(&self.intake)));
        losses
    }

    fn append_in_time(&self, batch: Batch) -> AppendInTime {
        let shared = self.intake.shared();
        let append = shared.log.append(batch);
        tokio::time::timeout(shared.limits.stall_timeout, append).boxed()
    }

    /// The log takes nothing more: no entry without an ack will be kept.
    fn fail(&mut self, error: AppendError) {
        self.stop_reading(Some(SessionEnd::Log(error)));
        self.builder = BatchBuilder::starting_at(self.builder.next_sequence());
        self.pending_append = None;
        self.in_flight.clear();
    }
}

fn stall_reason(intake: &Intake) -> String {
    let waited = humantime::format_duration(intake.shared().limits.stall_timeout);
    format!("the log's queue was full for {waited}")
}
