//! One stream of responses.

#[cfg(test)]
mod tests;

use futures_util::{FutureExt, StreamExt};
use tonic::Streaming;

use super::codec::PullResponse;
use super::connection::{Connection, OpenPull, ended};
use super::numbering::SourceNumbering;
use super::options::PullOptions;
use super::state::{PullReporter, PullState};
use crate::domain::Cursor;
use crate::encode::{CachedClock, StatusParts, WireLayout};
use crate::ingest::{EntryReader, Notified, PullWriter, StatusError};
use crate::proto::decode_notification;

/// An open stream, and where its entries go.
pub(super) struct PullSession {
    connection: Connection,
    responses: Streaming<PullResponse>,
    /// Received, but not taken in yet.
    next: Option<PullResponse>,
    numbering: SourceNumbering,
    reader: EntryReader,
    clock: CachedClock,
    writer: PullWriter,
    reporter: PullReporter,
    has_progressed: bool,
}

impl PullSession {
    /// Connects and waits for the first response. `cursors` are those that the log has.
    ///
    /// # Errors
    /// Says why there is none.
    pub(super) async fn open(
        options: &PullOptions,
        writer: PullWriter,
        cursors: Vec<Cursor>,
        reporter: PullReporter,
    ) -> Result<Self, String> {
        let connection = Connection::open(options).await?;
        let numbering = SourceNumbering::new(cursors);
        let OpenPull { first, responses } = connection.pull(numbering.resume(), options).await?;
        reporter.show(PullState::Pulling { caught_up: false, complaint: None });
        Ok(Self {
            connection,
            responses,
            next: Some(first),
            numbering,
            reader: EntryReader::new(WireLayout::WorkerLogEntry, writer.line_limits()),
            clock: CachedClock::now(),
            writer,
            reporter,
            has_progressed: false,
        })
    }

    /// Whether anything new was kept.
    pub(super) fn has_progressed(&self) -> bool {
        self.has_progressed
    }

    /// Waits for a response. May be dropped at any time.
    ///
    /// # Errors
    /// Why the stream ended.
    pub(super) async fn ready(&mut self) -> Result<(), String> {
        if self.next.is_none() {
            let response = self.responses.next().await;
            self.next = Some(response.ok_or("the source ended the stream")?.map_err(ended)?);
        }
        Ok(())
    }

    /// Takes in what has arrived, and commits it.
    ///
    /// # Errors
    /// Why the stream must end, or has ended; what came before is kept.
    pub(super) async fn take_in(&mut self) -> Result<(), String> {
        let taken_in = self.take_in_ready().await;
        self.commit().await?;
        taken_in
    }

    async fn take_in_ready(&mut self) -> Result<(), String> {
        while !self.writer.is_full() {
            match self.ready().now_or_never() {
                Some(ready) => ready?,
                None => return Ok(()),
            }
            if let Some(response) = self.next.take() {
                self.on_response(response).await?;
            }
        }
        Ok(())
    }

    async fn on_response(&mut self, response: PullResponse) -> Result<(), String> {
        if self.numbering.changes_with(&response.epoch) {
            // A commit has one cursor.
            self.commit().await?;
        }
        self.numbering.enter(&response.epoch)?;
        if response.caught_up.is_some() {
            return self.on_caught_up().await;
        }
        let cursor = match self.numbering.advance(response.cursor) {
            Ok(cursor) => cursor,
            Err(last) => {
                self.on_backwards(response.cursor, last);
                return Ok(());
            }
        };
        self.reporter.show_caught_up(false);
        match (response.entry, response.status) {
            (Some(entry), _) => {
                self.clock.refresh();
                self.writer.add(self.reader.read(&entry, self.clock.as_str()), cursor);
            }
            (None, Some(status)) => self.on_status(&status, cursor).await?,
            (None, None) => self.skip("a response holds nothing that is known here", cursor),
        }
        Ok(())
    }

    async fn on_caught_up(&mut self) -> Result<(), String> {
        self.commit().await?;
        self.reporter.show_caught_up(true);
        self.writer.release();
        Ok(())
    }

    fn on_backwards(&mut self, number: u64, last: u64) {
        self.reporter.counters.backwards.add(1);
        let complaint = format!("a response has the cursor {number}, the one before had {last}");
        self.reporter.complain(&complaint);
    }

    async fn on_status(&mut self, bytes: &[u8], cursor: Cursor) -> Result<(), String> {
        self.commit().await?;
        let notification = match decode_notification(bytes) {
            Ok(notification) => notification,
            Err(error) => {
                self.skip(&format!("a status is not a notification: {error}"), cursor);
                return Ok(());
            }
        };
        let parts = match StatusParts::try_from(&notification) {
            Ok(parts) => parts,
            Err(error) => {
                self.skip(&format!("a status is not kept: {error}"), cursor);
                return Ok(());
            }
        };
        match self.writer.notify(parts, cursor.clone()).await {
            Ok(Notified::Kept) => {
                self.reporter.counters.statuses.add(1);
                self.has_progressed = true;
            }
            Ok(Notified::Repeated) => self.writer.skip_to(cursor),
            Err(error @ (StatusError::Id(_) | StatusError::TooLarge { .. })) => {
                self.skip(&format!("a status is not kept: {error}"), cursor);
            }
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }

    /// Passes over a response with nothing to keep, which is wrong as `complaint` says.
    fn skip(&mut self, complaint: &str, cursor: Cursor) {
        self.reporter.counters.invalid.add(1);
        self.writer.skip_to(cursor);
        self.reporter.complain(complaint);
    }

    async fn commit(&mut self) -> Result<(), String> {
        let committed = self.writer.commit().await.map_err(|error| error.to_string())?;
        let counters = &self.reporter.counters;
        counters.kept.add(committed.kept);
        counters.repeated.add(committed.repeated);
        counters.invalid.add(committed.dropped);
        self.has_progressed |= committed.kept > 0;
        if committed.dropped > 0 {
            let complaint = "entries that break a rule are skipped; their task's log says which";
            self.reporter.complain(complaint);
        }
        Ok(())
    }

    /// Ends the stream and tells the source how far it was read.
    pub(super) async fn finish(self) {
        let Self { connection, responses, numbering, .. } = self;
        drop(responses);
        connection.say_done(numbering.resume()).await;
    }
}
