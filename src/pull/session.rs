//! One stream of answers.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use futures_util::{FutureExt, StreamExt};
use prost::Message;
use tokio::sync::watch;
use tonic::Streaming;

use super::codec::Answer;
use super::connection::{Connection, ended};
use super::numbering::SourceNumbering;
use super::options::PullOptions;
use super::state::{Counters, PullState};
use crate::domain::Cursor;
use crate::encode::{CachedClock, StatusParts, WireLayout};
use crate::ingest::{EntryReader, Intake, Notified, PullWriter, StatusError};
use crate::proto::ottoscaler::WorkerStatusNotification;
use crate::proto::ottoscaler::worker_status_notification::StatusType;

/// An open stream and what is read from it.
pub(super) struct PullSession {
    connection: Connection,
    answers: Streaming<Answer>,
    /// Read, but not taken in yet.
    next: Option<Answer>,
    numbering: SourceNumbering,
    reader: EntryReader,
    clock: CachedClock,
    fetch: PullWriter,
    state: watch::Sender<PullState>,
    counters: Arc<Counters>,
    has_progressed: bool,
}

impl PullSession {
    /// Connects and waits for the first answer.
    ///
    /// # Errors
    /// Says why there is none.
    pub(super) async fn open(
        options: &PullOptions,
        (intake, known): (Intake, Vec<Cursor>),
        (state, counters): (watch::Sender<PullState>, Arc<Counters>),
    ) -> Result<Self, String> {
        let connection = Connection::open(options).await?;
        let numbering = SourceNumbering::new(known);
        let (first, answers) = connection.pull(numbering.resume(), options).await?;
        state.send_replace(PullState::Pulling { caught_up: false, complaint: None });
        Ok(Self {
            connection,
            answers,
            next: Some(first),
            numbering,
            reader: EntryReader::new(WireLayout::WorkerLogEntry),
            clock: CachedClock::now(),
            fetch: PullWriter::new(intake),
            state,
            counters,
            has_progressed: false,
        })
    }

    /// Whether anything new was kept.
    pub(super) fn has_progressed(&self) -> bool {
        self.has_progressed
    }

    /// Waits for an answer. May be dropped at any time.
    ///
    /// # Errors
    /// Why the stream ended.
    pub(super) async fn ready(&mut self) -> Result<(), String> {
        if self.next.is_none() {
            let answer = self.answers.next().await;
            self.next = Some(answer.ok_or("the source ended the stream")?.map_err(ended)?);
        }
        Ok(())
    }

    /// Takes in what has arrived, and keeps it.
    ///
    /// # Errors
    /// Why the stream must end, or has ended; what came before is kept.
    pub(super) async fn take_in(&mut self) -> Result<(), String> {
        let outcome = self.take_in_ready().await;
        self.keep().await?;
        outcome
    }

    async fn take_in_ready(&mut self) -> Result<(), String> {
        while !self.fetch.is_full() {
            match self.ready().now_or_never() {
                Some(ready) => ready?,
                None => return Ok(()),
            }
            if let Some(answer) = self.next.take() {
                self.on_answer(answer).await?;
            }
        }
        Ok(())
    }

    async fn on_answer(&mut self, answer: Answer) -> Result<(), String> {
        if self.numbering.changes_with(&answer.epoch) {
            // What is kept at once has one cursor.
            self.keep().await?;
        }
        self.numbering.enter(&answer.epoch)?;
        if answer.caught_up.is_some() {
            return self.on_caught_up().await;
        }
        let cursor = match self.numbering.advance(answer.cursor) {
            Ok(cursor) => cursor,
            Err(last) => {
                self.on_backwards(answer.cursor, last);
                return Ok(());
            }
        };
        self.show(|caught_up, _| *caught_up = false);
        match (answer.entry, answer.status) {
            (Some(entry), _) => {
                self.clock.refresh();
                self.fetch.add(self.reader.read(&entry, self.clock.as_str()), cursor);
            }
            (None, Some(status)) => self.on_status(&status, cursor).await?,
            (None, None) => self.skip("an answer holds nothing that is known here", cursor),
        }
        Ok(())
    }

    async fn on_caught_up(&mut self) -> Result<(), String> {
        self.keep().await?;
        self.show(|caught_up, _| *caught_up = true);
        self.fetch.release();
        Ok(())
    }

    fn on_backwards(&mut self, number: u64, last: u64) {
        add(&self.counters.backwards, 1);
        self.complain(&format!("an answer has the cursor {number}, the one before had {last}"));
    }

    async fn on_status(&mut self, bytes: &[u8], cursor: Cursor) -> Result<(), String> {
        self.keep().await?;
        let told = match WorkerStatusNotification::decode(bytes) {
            Ok(told) => told,
            Err(error) => {
                self.skip(&format!("a status is no notification: {error}"), cursor);
                return Ok(());
            }
        };
        let Ok(state) = StatusType::try_from(told.status) else {
            self.skip(&format!("a status is {}, it needs 0 to 4", told.status), cursor);
            return Ok(());
        };
        match self.fetch.notify(parts(&told, state), cursor.clone()).await {
            Ok(Notified::Kept) => {
                add(&self.counters.statuses, 1);
                self.has_progressed = true;
            }
            Ok(Notified::Repeated) => self.fetch.pass(cursor),
            Err(error @ (StatusError::Id(_) | StatusError::TooLarge { .. })) => {
                self.skip(&format!("a status is not kept: {error}"), cursor);
            }
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }

    fn skip(&mut self, what: &str, cursor: Cursor) {
        add(&self.counters.invalid, 1);
        self.fetch.pass(cursor);
        self.complain(what);
    }

    /// Keeps what was added.
    async fn keep(&mut self) -> Result<(), String> {
        let fetched = self.fetch.keep().await.map_err(|error| error.to_string())?;
        add(&self.counters.kept, fetched.kept);
        add(&self.counters.repeated, fetched.repeated);
        add(&self.counters.invalid, fetched.dropped);
        self.has_progressed |= fetched.kept > 0;
        if fetched.dropped > 0 {
            self.complain("entries that break a rule are skipped; their task's log says which");
        }
        Ok(())
    }

    fn complain(&self, complaint: &str) {
        let is_first = self.show(|_, known| {
            if known.as_deref() != Some(complaint) {
                *known = Some(complaint.into());
            }
        });
        if is_first {
            tracing::warn!("pull: {complaint}");
        }
    }

    /// Changes the shown state; returns whether a complaint is shown that was none before.
    fn show(&self, change: impl FnOnce(&mut bool, &mut Option<String>)) -> bool {
        let mut is_first_complaint = false;
        self.state.send_if_modified(|state| {
            let PullState::Pulling { caught_up, complaint } = state else { return false };
            let before = (*caught_up, complaint.clone());
            change(caught_up, complaint);
            is_first_complaint = before.1.is_none() && complaint.is_some();
            before != (*caught_up, complaint.clone())
        });
        is_first_complaint
    }

    /// Ends the stream and tells the source how far we came.
    pub(super) async fn finish(self) {
        let Self { connection, answers, numbering, .. } = self;
        drop(answers);
        connection.say_done(numbering.resume()).await;
    }
}

pub(super) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Relaxed);
}

fn parts(told: &WorkerStatusNotification, state: StatusType) -> StatusParts<'_> {
    let pairs = told.metadata.iter();
    let mut metadata: Vec<_> = pairs.map(|(key, value)| (key.as_str(), value.as_str())).collect();
    metadata.sort_unstable();
    StatusParts {
        task_id: &told.task_id,
        worker_id: &told.worker_id,
        state: state.into(),
        timestamp: &told.timestamp,
        reason: &told.reason,
        metadata,
    }
}
