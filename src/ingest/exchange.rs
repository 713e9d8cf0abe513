//! One producer's stream: messages in, batches to the log, answers out.
//!
//! # What it guarantees
//! - Answers come in the order of the entries, and an entry is answered as kept only when its
//!   batch is durable.
//! - When the producer cancels, what has arrived is kept all the same: dropped before its
//!   end, an exchange goes on as a task of its own until the inbound stream ends.
//! - It holds at most [`MAX_IN_FLIGHT`] batches of `BATCH_BYTES` and one that waits for
//!   room; while one waits, nothing more is read.
//!
//! No task and no channel per stream: the transport polls the exchange for answers, and the
//! exchange polls the inbound stream.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream, StreamExt};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::answers::{AckMode, Answer, Answers, Expected, Outcome};
use super::carriers::Carriers;
use super::gathering::{Gathered, Gathering, Loss, lines_lost_with};
use super::intake::{Counters, Intake, Slot};
use super::reader::Item;
use crate::domain::Batch;
use crate::store::{AppendError, Committed, Receipt, Refused};

/// Batches of one stream on their way to the disk at once.
const MAX_IN_FLIGHT: usize = 4;

/// The wait that a RETRY asks for, in milliseconds.
const RETRY_THROTTLE_MS: u32 = 1000;

/// The longest wait that an ACK asks for, in milliseconds, when the log's queue is full.
const MAX_ACK_THROTTLE_MS: f32 = 100.0;

/// From this pressure on, ACKs ask for a wait.
const THROTTLE_FROM: f32 = 0.5;

/// Why an exchange ended before its producer ended it.
#[derive(Debug)]
pub enum End<E> {
    /// The transport failed, or the producer broke its rules.
    Inbound(E),
    /// The log takes nothing more.
    Log(AppendError),
    /// The server is shutting down; everything that arrived is answered.
    Draining,
}

type Append = BoxFuture<'static, Result<Receipt, AppendError>>;

/// A batch that the log's queue had no room for.
struct Waiting {
    /// `Err` when the stall timeout passed.
    append: BoxFuture<'static, Result<Result<Receipt, AppendError>, tokio::time::error::Elapsed>>,
    expected: Expected,
    /// What is lost when it stalls: its own lines, and those that it was to note as lost.
    losses: Vec<Loss>,
}

/// A batch that owes its answers; the oldest is answered first.
struct InFlight {
    fate: Fate,
    expected: Expected,
}

/// What decides a batch's answers.
enum Fate {
    /// It is in the log's queue.
    Queued(Receipt),
    /// Nothing in it could be kept, so there is nothing to wait for.
    Empty,
    /// It waited too long for room.
    Stalled,
}

/// One producer's stream, as a stream of answers.
pub struct Exchange<S, E>
where
    S: Stream<Item = Result<Item, E>> + Unpin + Send + 'static,
    E: Send + 'static,
{
    state: State<S, E>,
}

struct State<S, E> {
    intake: Intake,
    slot: Option<Slot>,
    mode: AckMode,
    inbound: Option<S>,
    end: Option<End<E>>,
    drain: Pin<Box<WaitForCancellationFutureOwned>>,
    gathering: Gathering,
    waiting: Option<Waiting>,
    in_flight: VecDeque<InFlight>,
    answers: Answers,
    carriers: Carriers,
    /// Set once a batch was answered RETRY: numbered entries behind it must not be kept before
    /// it is sent again, or its numbers would look like repeats.
    stalled: bool,
}

impl<S, E> Exchange<S, E>
where
    S: Stream<Item = Result<Item, E>> + Unpin + Send + 'static,
    E: Send + 'static,
{
    /// An exchange that reads `inbound`.
    pub fn new(intake: Intake, slot: Slot, mode: AckMode, inbound: S) -> Self {
        let drain = Box::pin(intake.shared().drain.clone().cancelled_owned());
        let state = State {
            intake,
            slot: Some(slot),
            mode,
            inbound: Some(inbound),
            end: None,
            drain,
            gathering: Gathering::from(1),
            waiting: None,
            in_flight: VecDeque::new(),
            answers: Answers::none(mode),
            carriers: Carriers::default(),
            stalled: false,
        };
        Self { state }
    }
}

impl<S, E> Unpin for Exchange<S, E>
where
    S: Stream<Item = Result<Item, E>> + Unpin + Send + 'static,
    E: Send + 'static,
{
}

impl<S, E> Stream for Exchange<S, E>
where
    S: Stream<Item = Result<Item, E>> + Unpin + Send + 'static,
    E: Send + 'static,
{
    type Item = Result<Answer, End<E>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.state.poll_answer(context)
    }
}

impl<S, E> Drop for Exchange<S, E>
where
    S: Stream<Item = Result<Item, E>> + Unpin + Send + 'static,
    E: Send + 'static,
{
    /// The producer cancelled, or the transport gave up: keeps what has arrived.
    fn drop(&mut self) {
        if self.state.is_done() {
            return;
        }
        let mut rest = self.state.take();
        tokio::spawn(async move {
            while std::future::poll_fn(|context| rest.poll_answer(context)).await.is_some() {}
        });
    }
}

impl<S, E> State<S, E>
where
    S: Stream<Item = Result<Item, E>> + Unpin + Send + 'static,
    E: Send + 'static,
{
    fn is_done(&self) -> bool {
        self.inbound.is_none()
            && self.gathering.is_empty()
            && self.waiting.is_none()
            && self.in_flight.is_empty()
    }

    /// Moves everything out, leaving a state that is done.
    fn take(&mut self) -> Self {
        let drain = Box::pin(self.intake.shared().drain.clone().cancelled_owned());
        Self {
            intake: self.intake.clone(),
            slot: self.slot.take(),
            mode: self.mode,
            inbound: self.inbound.take(),
            end: self.end.take(),
            drain,
            gathering: std::mem::replace(&mut self.gathering, Gathering::from(1)),
            waiting: self.waiting.take(),
            in_flight: std::mem::take(&mut self.in_flight),
            answers: std::mem::replace(&mut self.answers, Answers::none(self.mode)),
            carriers: std::mem::take(&mut self.carriers),
            stalled: self.stalled,
        }
    }

    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Answer, End<E>>>> {
        loop {
            if let Some(answer) = self.answers.next() {
                return Poll::Ready(Some(Ok(answer)));
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
            self.carriers.clear();
            self.slot = None;
            return Poll::Ready(self.end.take().map(Err));
        }
    }

    /// Ready when the oldest batch in flight became answers.
    fn poll_settled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(oldest) = self.in_flight.front_mut() else { return Poll::Pending };
        let settled = match &mut oldest.fate {
            Fate::Queued(receipt) => Some(ready!(receipt.poll_unpin(context))),
            Fate::Empty => Some(Ok(Committed { kept: 0, repeated: 0 })),
            Fate::Stalled => None,
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

    fn on_settled(&mut self, expected: Expected, settled: Result<Committed, AppendError>) {
        match settled {
            Ok(committed) => {
                let counters = &self.intake.shared().counters;
                Counters::add(&counters.kept, committed.kept.into());
                Counters::add(&counters.repeated, committed.repeated.into());
                Counters::add(&counters.dropped, expected.dropped_count());
                let throttle_ms = ack_throttle_ms(self.intake.shared().log.pressure());
                self.answers = Answers::new(expected, Outcome::Kept, throttle_ms, self.mode);
            }
            Err(error) => self.fail(error),
        }
    }

    /// Ready when the batch that waited is queued, or has waited too long.
    fn poll_waiting(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(waiting) = &mut self.waiting else { return Poll::Pending };
        let queued = ready!(waiting.append.poll_unpin(context));
        let Some(Waiting { expected, losses, .. }) = self.waiting.take() else {
            return Poll::Pending;
        };
        match queued {
            Ok(Ok(receipt)) => self.owe(Fate::Queued(receipt), expected),
            Ok(Err(error)) => self.fail(error),
            Err(_elapsed) => {
                losses.into_iter().for_each(|loss| self.gathering.lose(loss));
                self.stalled = true;
                self.owe_stalled(expected);
            }
        }
        Poll::Ready(())
    }

    fn owe_stalled(&mut self, expected: Expected) {
        Counters::add(&self.intake.shared().counters.retried, expected.count());
        self.owe(Fate::Stalled, expected);
    }

    fn owe(&mut self, fate: Fate, expected: Expected) {
        self.in_flight.push_back(InFlight { fate, expected });
    }

    fn on_stalled(&mut self, expected: Expected) {
        let reason = stall_reason(&self.intake);
        self.answers = Answers::new(expected, Outcome::Retry(reason), RETRY_THROTTLE_MS, self.mode);
    }

    /// Ready when something was queued, or the inbound stream ended.
    fn poll_gather(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.waiting.is_some() {
            return Poll::Pending;
        }
        let had_inbound = self.inbound.is_some();
        self.read_ready(context);
        let has_ended = had_inbound && self.inbound.is_none();
        if !self.gathering.is_empty() && self.may_submit() {
            self.submit();
            return Poll::Ready(());
        }
        if has_ended { Poll::Ready(()) } else { Poll::Pending }
    }

    /// A batch goes at once when none is in flight, and otherwise when it is full: what comes
    /// while one is being committed shares the next commit. At the end all goes.
    fn may_submit(&self) -> bool {
        let has_room = self.in_flight.len() < MAX_IN_FLIGHT;
        self.in_flight.is_empty()
            || self.inbound.is_none()
            || (self.gathering.is_full() && has_room)
    }

    /// Reads what is ready, up to a full batch.
    fn read_ready(&mut self, context: &mut Context<'_>) {
        let entry_bytes = self.intake.shared().limits.entry_bytes;
        while !self.gathering.is_full()
            && let Some(inbound) = &mut self.inbound
        {
            match inbound.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(item))) => {
                    self.carry(&item);
                    self.gathering.add(item, entry_bytes);
                }
                Poll::Ready(Some(Err(error))) => self.stop_reading(Some(End::Inbound(error))),
                Poll::Ready(None) => self.stop_reading(None),
                Poll::Pending => return self.read_drain(context),
            }
        }
    }

    /// All that has arrived is read; ends here when the server is shutting down.
    fn read_drain(&mut self, context: &mut Context<'_>) {
        if self.drain.as_mut().poll_unpin(context).is_ready() {
            self.stop_reading(Some(End::Draining));
        }
    }

    fn stop_reading(&mut self, end: Option<End<E>>) {
        self.inbound = None;
        self.end = end;
    }

    /// Notes which tasks the stream carries; nearly always one.
    fn carry(&mut self, item: &Item) {
        if let Ok(accepted) = &item.entry
            && !self.gathering.is_of(&accepted.ids)
        {
            self.carriers.carry(&self.intake.shared().tasks, &accepted.ids.task);
        }
    }

    fn submit(&mut self) {
        let next = Gathering::from(self.gathering.next_sequence());
        let Gathered { batch, expected, noted } =
            std::mem::replace(&mut self.gathering, next).finish();
        if batch.runs.is_empty() {
            return self.owe(Fate::Empty, expected);
        }
        if self.stalled && batch.runs.iter().any(|run| run.session.is_some()) {
            return self.owe_stalled(expected);
        }
        let shared = self.intake.shared();
        Counters::add(&shared.counters.bytes, batch.bytes() as u64);
        match shared.log.try_append(batch) {
            Ok(receipt) => self.owe(Fate::Queued(receipt), expected),
            Err(Refused::Full(batch)) => {
                self.waiting = Some(self.hold_back(batch, expected, noted));
            }
            Err(Refused::Failed(error)) => self.fail(error),
        }
    }

    fn hold_back(&self, batch: Batch, expected: Expected, noted: Vec<Loss>) -> Waiting {
        let shared = self.intake.shared();
        let mut losses = noted;
        losses.extend(lines_lost_with(&batch, &stall_reason(&self.intake)));
        let append: Append = shared.log.append(batch);
        let append = tokio::time::timeout(shared.limits.stall_timeout, append).boxed();
        Waiting { append, expected, losses }
    }

    /// The log takes nothing more: nothing that is not answered yet will be kept.
    fn fail(&mut self, error: AppendError) {
        self.stop_reading(Some(End::Log(error)));
        self.gathering = Gathering::from(self.gathering.next_sequence());
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
