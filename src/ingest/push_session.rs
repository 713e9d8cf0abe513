//! One producer's stream: messages in, batches to the log, acks out.
//!
//! # What it guarantees
//! - Acks come in the order of the entries, and an entry is answered as kept only when its
//!   batch is durable.
//! - When the producer cancels, what has arrived is kept all the same: dropped before its
//!   end, an session goes on as a task of its own until the inbound stream ends.
//! - It holds at most [`MAX_IN_FLIGHT`] batches of `BATCH_BYTES` and one that waits for
//!   room; while one waits, nothing more is read.
//!
//! No task and no channel per stream: the transport polls the session for acks, and the
//! session polls the inbound stream.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream, StreamExt};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::acks::{Ack, AckMode, AckStatus, Acks, PendingAcks};
use super::active_tasks::ActiveTasks;
use super::batch_builder::{BatchBuilder, BuiltBatch, LostLines, lines_lost_with};
use super::intake::{Counters, Intake, StreamPermit};
use super::reader::IncomingEntry;
use crate::domain::Batch;
use crate::store::{AppendError, Committed, Receipt, TryAppendError};

/// Batches of one stream on their way to the disk at once.
const MAX_IN_FLIGHT: usize = 4;

/// The wait that a RETRY asks for, in milliseconds.
const RETRY_THROTTLE_MS: u32 = 1000;

/// The longest wait that an ACK asks for, in milliseconds, when the log's queue is full.
const MAX_ACK_THROTTLE_MS: f32 = 100.0;

/// From this pressure on, ACKs ask for a wait.
const THROTTLE_FROM: f32 = 0.5;

/// Why an session ended before its producer ended it.
#[derive(Debug)]
pub enum SessionEnd<E> {
    /// The transport failed, or the producer broke its rules.
    Inbound(E),
    /// The log takes nothing more.
    Log(AppendError),
    /// The server is shutting down; everything that arrived is answered.
    Draining,
}

type Append = BoxFuture<'static, Result<Receipt, AppendError>>;

/// A batch that the log's queue had no room for.
struct PendingAppend {
    /// `Err` when the stall timeout passed.
    append: BoxFuture<'static, Result<Result<Receipt, AppendError>, tokio::time::error::Elapsed>>,
    expected: PendingAcks,
    /// What is lost when it stalls: its own lines, and those that it was to note as lost.
    losses: Vec<LostLines>,
}

/// A batch that owes its acks; the oldest is answered first.
struct InFlight {
    state: BatchState,
    expected: PendingAcks,
}

/// What decides a batch's acks.
enum BatchState {
    /// It is in the log's queue.
    Queued(Receipt),
    /// Nothing in it could be kept, so there is nothing to wait for.
    Empty,
    /// It waited too long for room.
    Stalled,
}

/// One producer's stream, as a stream of acks.
pub struct PushSession<S, E>
where
    S: Stream<Item = Result<IncomingEntry, E>> + Unpin + Send + 'static,
    E: Send + 'static,
{
    state: SessionState<S, E>,
}

struct SessionState<S, E> {
    intake: Intake,
    permit: Option<StreamPermit>,
    mode: AckMode,
    inbound: Option<S>,
    end: Option<SessionEnd<E>>,
    drain: Pin<Box<WaitForCancellationFutureOwned>>,
    builder: BatchBuilder,
    waiting: Option<PendingAppend>,
    in_flight: VecDeque<InFlight>,
    acks: Acks,
    active_tasks: ActiveTasks,
    /// Set once a batch was answered RETRY: numbered entries behind it must not be kept before
    /// it is sent again, or its numbers would look like repeats.
    stalled: bool,
}

impl<S, E> PushSession<S, E>
where
    S: Stream<Item = Result<IncomingEntry, E>> + Unpin + Send + 'static,
    E: Send + 'static,
{
    /// An session that reads `inbound`.
    pub fn new(intake: Intake, permit: StreamPermit, mode: AckMode, inbound: S) -> Self {
        let drain = Box::pin(intake.shared().drain.clone().cancelled_owned());
        let state = SessionState {
            intake,
            permit: Some(permit),
            mode,
            inbound: Some(inbound),
            end: None,
            drain,
            builder: BatchBuilder::from(1),
            waiting: None,
            in_flight: VecDeque::new(),
            acks: Acks::none(mode),
            active_tasks: ActiveTasks::default(),
            stalled: false,
        };
        Self { state }
    }
}

impl<S, E> Unpin for PushSession<S, E>
where
    S: Stream<Item = Result<IncomingEntry, E>> + Unpin + Send + 'static,
    E: Send + 'static,
{
}

impl<S, E> Stream for PushSession<S, E>
where
    S: Stream<Item = Result<IncomingEntry, E>> + Unpin + Send + 'static,
    E: Send + 'static,
{
    type Item = Result<Ack, SessionEnd<E>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.state.poll_ack(context)
    }
}

impl<S, E> Drop for PushSession<S, E>
where
    S: Stream<Item = Result<IncomingEntry, E>> + Unpin + Send + 'static,
    E: Send + 'static,
{
    /// The producer cancelled, or the transport gave up: keeps what has arrived.
    fn drop(&mut self) {
        if self.state.is_done() {
            return;
        }
        let mut rest = self.state.take();
        tokio::spawn(async move {
            while std::future::poll_fn(|context| rest.poll_ack(context)).await.is_some() {}
        });
    }
}

impl<S, E> SessionState<S, E>
where
    S: Stream<Item = Result<IncomingEntry, E>> + Unpin + Send + 'static,
    E: Send + 'static,
{
    fn is_done(&self) -> bool {
        self.inbound.is_none()
            && self.builder.is_empty()
            && self.waiting.is_none()
            && self.in_flight.is_empty()
    }

    /// Moves everything out, leaving a state that is done.
    fn take(&mut self) -> Self {
        let drain = Box::pin(self.intake.shared().drain.clone().cancelled_owned());
        Self {
            intake: self.intake.clone(),
            permit: self.permit.take(),
            mode: self.mode,
            inbound: self.inbound.take(),
            end: self.end.take(),
            drain,
            builder: std::mem::replace(&mut self.builder, BatchBuilder::from(1)),
            waiting: self.waiting.take(),
            in_flight: std::mem::take(&mut self.in_flight),
            acks: std::mem::replace(&mut self.acks, Acks::none(self.mode)),
            active_tasks: std::mem::take(&mut self.active_tasks),
            stalled: self.stalled,
        }
    }

    fn poll_ack(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Ack, SessionEnd<E>>>> {
        loop {
            if let Some(ack) = self.acks.next() {
                return Poll::Ready(Some(Ok(ack)));
            }
            let settled = self.poll_settled(context).is_ready();
            let queued = self.poll_waiting(context).is_ready();
            let gathered = self.poll_gather(context).is_ready();
            if settled || queued || gathered {
                continue;
            }
            if !self.is_done() {
                return Poll::Pending;
            }
            self.active_tasks.clear();
            self.permit = None;
            return Poll::Ready(self.end.take().map(Err));
        }
    }

    /// Ready when the oldest batch in flight became acks.
    fn poll_settled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(oldest) = self.in_flight.front_mut() else { return Poll::Pending };
        let settled = match &mut oldest.state {
            BatchState::Queued(receipt) => Some(ready!(receipt.poll_unpin(context))),
            BatchState::Empty => Some(Ok(Committed { kept: 0, repeated: 0 })),
            BatchState::Stalled => None,
        };
        let Some(InFlight { expected, .. }) = self.in_flight.pop_front() else {
            return Poll::Pending;
        };
        match settled {
            Some(settled) => self.on_settled(expected, settled),
            None => self.on_stalled(expected),
        }
        Poll::Ready(())
    }

    fn on_settled(&mut self, expected: PendingAcks, settled: Result<Committed, AppendError>) {
        match settled {
            Ok(committed) => {
                let counters = &self.intake.shared().counters;
                Counters::add(&counters.kept, committed.kept.into());
                Counters::add(&counters.repeated, committed.repeated.into());
                Counters::add(&counters.dropped, expected.dropped_count());
                let throttle_ms = ack_throttle_ms(self.intake.shared().log.pressure());
                self.acks = Acks::new(expected, AckStatus::Kept, throttle_ms, self.mode);
            }
            Err(error) => self.fail(error),
        }
    }

    /// Ready when the batch that waited is queued, or has waited too long.
    fn poll_waiting(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(waiting) = &mut self.waiting else { return Poll::Pending };
        let queued = ready!(waiting.append.poll_unpin(context));
        let Some(PendingAppend { expected, losses, .. }) = self.waiting.take() else {
            return Poll::Pending;
        };
        match queued {
            Ok(Ok(receipt)) => self.owe(BatchState::Queued(receipt), expected),
            Ok(Err(error)) => self.fail(error),
            Err(_elapsed) => {
                losses.into_iter().for_each(|loss| self.builder.lose(loss));
                self.stalled = true;
                self.owe_stalled(expected);
            }
        }
        Poll::Ready(())
    }

    fn owe_stalled(&mut self, expected: PendingAcks) {
        Counters::add(&self.intake.shared().counters.retried, expected.count());
        self.owe(BatchState::Stalled, expected);
    }

    fn owe(&mut self, state: BatchState, expected: PendingAcks) {
        self.in_flight.push_back(InFlight { state, expected });
    }

    fn on_stalled(&mut self, expected: PendingAcks) {
        let reason = stall_reason(&self.intake);
        self.acks = Acks::new(expected, AckStatus::Retry(reason), RETRY_THROTTLE_MS, self.mode);
    }

    /// Ready when something was queued, or the inbound stream ended.
    fn poll_gather(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.waiting.is_some() {
            return Poll::Pending;
        }
        let had_inbound = self.inbound.is_some();
        self.read_ready(context);
        let has_ended = had_inbound && self.inbound.is_none();
        if !self.builder.is_empty() && self.may_submit() {
            self.submit();
            return Poll::Ready(());
        }
        if has_ended { Poll::Ready(()) } else { Poll::Pending }
    }

    /// A batch goes at once when none is in flight, and otherwise when it is full: what comes
    /// while one is being committed shares the next commit. At the end all goes.
    fn may_submit(&self) -> bool {
        let has_room = self.in_flight.len() < MAX_IN_FLIGHT;
        self.in_flight.is_empty() || self.inbound.is_none() || (self.builder.is_full() && has_room)
    }

    /// Reads what is ready, up to a full batch.
    fn read_ready(&mut self, context: &mut Context<'_>) {
        let entry_bytes = self.intake.shared().limits.entry_bytes;
        while !self.builder.is_full()
            && let Some(inbound) = &mut self.inbound
        {
            match inbound.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(item))) => {
                    self.activate(&item);
                    self.builder.add(item, entry_bytes);
                }
                Poll::Ready(Some(Err(error))) => {
                    self.stop_reading(Some(SessionEnd::Inbound(error)))
                }
                Poll::Ready(None) => self.stop_reading(None),
                Poll::Pending => return self.read_drain(context),
            }
        }
    }

    /// All that has arrived is read; ends here when the server is shutting down.
    fn read_drain(&mut self, context: &mut Context<'_>) {
        if self.drain.as_mut().poll_unpin(context).is_ready() {
            self.stop_reading(Some(SessionEnd::Draining));
        }
    }

    fn stop_reading(&mut self, end: Option<SessionEnd<E>>) {
        self.inbound = None;
        self.end = end;
    }

    /// Notes which tasks the stream carries; nearly always one.
    fn activate(&mut self, item: &IncomingEntry) {
        if let Ok(accepted) = &item.entry
            && !self.builder.is_of(&accepted.ids)
        {
            self.active_tasks.activate(&self.intake.shared().tasks, &accepted.ids.task);
        }
    }

    fn submit(&mut self) {
        let next = BatchBuilder::from(self.builder.next_sequence());
        let BuiltBatch { batch, expected, noted } =
            std::mem::replace(&mut self.builder, next).finish();
        if batch.runs.is_empty() {
            return self.owe(BatchState::Empty, expected);
        }
        if self.stalled && batch.runs.iter().any(|run| run.session.is_some()) {
            return self.owe_stalled(expected);
        }
        let shared = self.intake.shared();
        Counters::add(&shared.counters.bytes, batch.bytes() as u64);
        match shared.log.try_append(batch) {
            Ok(receipt) => self.owe(BatchState::Queued(receipt), expected),
            Err(TryAppendError::Full(batch)) => {
                self.waiting = Some(self.hold_back(batch, expected, noted));
            }
            Err(TryAppendError::Failed(error)) => self.fail(error),
        }
    }

    fn hold_back(
        &self,
        batch: Batch,
        expected: PendingAcks,
        noted: Vec<LostLines>,
    ) -> PendingAppend {
        let shared = self.intake.shared();
        let mut losses = noted;
        losses.extend(lines_lost_with(&batch, &stall_reason(&self.intake)));
        let append: Append = shared.log.append(batch);
        let append = tokio::time::timeout(shared.limits.stall_timeout, append).boxed();
        PendingAppend { append, expected, losses }
    }

    /// The log takes nothing more: nothing that is not answered yet will be kept.
    fn fail(&mut self, error: AppendError) {
        self.stop_reading(Some(SessionEnd::Log(error)));
        self.builder = BatchBuilder::from(self.builder.next_sequence());
        self.waiting = None;
        self.in_flight.clear();
    }
}

fn stall_reason(intake: &Intake) -> String {
    let waited = humantime::format_duration(intake.shared().limits.stall_timeout);
    format!("the log's queue had no room for {waited}")
}

fn ack_throttle_ms(pressure: f32) -> u32 {
    let over = (pressure - THROTTLE_FROM).max(0.0) / (1.0 - THROTTLE_FROM);
    (over * MAX_ACK_THROTTLE_MS) as u32
}
