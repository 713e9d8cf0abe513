//! The request body of a push, read as entries.
//!
//! An entry never becomes a message struct, nor is it copied on the way: the scan, the checks and
//! the encoding for readers happen in one pass over the transport's own frames. Only a message
//! that is spread over several frames is put together first.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::Stream;
use http_body::Body as _;
use tonic::Status;
use tonic::body::Body;

use super::arrival::{ArrivalWatch, Progress, Skipped};
use super::framing::PREFIX_BYTES;
use super::message_counter::MessageCounter;
use crate::encode::CachedClock;
use crate::ingest::{EntryReader, IncomingEntry, Reservation, StreamBudget};

/// The capacity for a message in parts that is kept for the next one, in bytes.
const KEPT_BYTES: usize = 16 * 1024;

/// From this length on, in bytes, a message is read only once there is memory for its entry. An
/// entry of a shorter one is counted when it is there.
const LARGE_BYTES: usize = 2 * 1024;

/// The clock is read once for this many messages, while they come without a pause.
const MESSAGES_PER_TICK: u32 = 16;

/// The entries of one request. Ends with the body; where the peer cuts it, with an error.
pub(super) struct RequestBody {
    body: Body,
    reader: EntryReader,
    messages: MessageCounter,
    clock: CachedClock,
    /// Messages until the clock is read again.
    ticks: u32,
    /// What is left of the last frame.
    frame: Bytes,
    /// The beginning of a message that continues in the next frame.
    begun: Vec<u8>,
    /// A message that is too long, of which more is to come.
    skipped: Option<Skipped>,
    /// The longest message that is taken.
    max_bytes: usize,
    budget: StreamBudget,
    watch: ArrivalWatch,
    /// Messages read in all, and when the transport had nothing more the last time.
    read: u64,
    read_before: u64,
}

impl RequestBody {
    pub(super) fn new(
        body: Body,
        reader: EntryReader,
        max_bytes: usize,
        messages: MessageCounter,
        budget: StreamBudget,
    ) -> Self {
        let (frame, begun, skipped, watch) = Default::default();
        let clock = CachedClock::now();
        let (ticks, read, read_before) = (0, 0, 0);
        Self {
            body,
            reader,
            messages,
            clock,
            ticks,
            frame,
            begun,
            skipped,
            max_bytes,
            budget,
            watch,
            read,
            read_before,
        }
    }

    /// Ready with the next message, or with `None` where the next frame is needed first.
    fn poll_message(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<IncomingEntry>, Status>> {
        if self.begun.is_empty() && self.skipped.is_none() {
            match whole(&self.frame)? {
                Some(end) if end <= PREFIX_BYTES + self.max_bytes => {
                    let message = &self.frame[PREFIX_BYTES..end];
                    let budget = ready!(poll_entry_budget(&mut self.budget, message, context));
                    let incoming = self.reader.read(message, self.clock.as_str());
                    self.frame.advance(end);
                    return Poll::Ready(Ok(Some(IncomingEntry { budget, ..incoming })));
                }
                None if self.frame.is_empty() => return Poll::Ready(Ok(None)),
                _ => {}
            }
        }
        self.poll_message_in_parts(context)
    }

    /// The same for a message that is in more than one frame.
    fn poll_message_in_parts(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<IncomingEntry>, Status>> {
        if self.skipped.is_some() {
            return Poll::Ready(Ok(self.skip()));
        }
        self.take(PREFIX_BYTES);
        let Some(wanted) = end(&self.begun)? else { return Poll::Ready(Ok(None)) };
        let length = wanted - PREFIX_BYTES;
        if length > self.max_bytes {
            self.begun.clear();
            self.skipped = Some(Skipped::new(length, self.max_bytes));
            return Poll::Ready(Ok(self.skip()));
        }
        let budget = ready!(self.budget.poll_unfinished(wanted, context));
        budget.map_err(|error| Status::resource_exhausted(error.to_string()))?;
        self.begun.reserve_exact(wanted - self.begun.len());
        self.take(wanted);
        if self.begun.len() < wanted {
            return Poll::Ready(Ok(None));
        }
        let message = &self.begun[PREFIX_BYTES..];
        let budget = ready!(poll_entry_budget(&mut self.budget, message, context));
        let incoming = self.reader.read(message, self.clock.as_str());
        self.begun.clear();
        self.begun.shrink_to(KEPT_BYTES);
        drop(self.budget.take_unfinished());
        Poll::Ready(Ok(Some(IncomingEntry { budget, ..incoming })))
    }

    /// Reads a message on that is too long; what is told of it once all of it has come.
    fn skip(&mut self) -> Option<IncomingEntry> {
        let is_over = self.skipped.as_mut()?.take(&mut self.frame);
        let skipped = if is_over { self.skipped.take() } else { None };
        skipped.map(|skipped| skipped.refused())
    }

    /// Called when nothing more has arrived. Ready with why the call ends, when it has waited for
    /// the rest of a message for too long.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        self.ticks = 0;
        let was_quiet = self.read == self.read_before;
        self.read_before = self.read;
        if let Some(skipped) = &self.skipped {
            let seen = Progress { messages: self.read, bytes: skipped.seen() };
            return self.watch.poll(seen, skipped.length(), context);
        }
        if !self.begun.is_empty() {
            let length = end(&self.begun).ok().flatten().unwrap_or(PREFIX_BYTES) - PREFIX_BYTES;
            let seen = Progress { messages: self.read, bytes: self.begun.len() };
            return self.watch.poll(seen, length, context);
        }
        if was_quiet {
            // Not while messages come: what is given back here is asked for with the next.
            self.reader.rest();
            self.begun = Vec::new();
            self.watch.forget();
        }
        Poll::Pending
    }

    /// Moves from the frame to the begun message until that has `wanted` bytes.
    fn take(&mut self, wanted: usize) {
        let missing = wanted.saturating_sub(self.begun.len()).min(self.frame.len());
        self.begun.extend_from_slice(&self.frame.split_to(missing));
    }

    /// Ready with whether there is one more frame.
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, Status>> {
        loop {
            return Poll::Ready(match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => continue,
                    Ok(data) => {
                        self.frame = data;
                        Ok(true)
                    }
                    // Trailers: nothing comes behind them.
                    Err(_) => self.end(),
                },
                // The peer cut the stream: see `connection::resets`.
                Some(Err(status)) => Err(status),
                None => self.end(),
            });
        }
    }

    fn end(&self) -> Result<bool, Status> {
        let skipped = self.skipped.as_ref().map_or(0, |skipped| PREFIX_BYTES + skipped.seen());
        let bytes = self.begun.len().max(skipped);
        if bytes == 0 {
            return Ok(false);
        }
        Err(Status::internal(format!("the stream ends {bytes} bytes into a message")))
    }

    fn read_clock(&mut self) {
        match self.ticks.checked_sub(1) {
            Some(left) => self.ticks = left,
            None => {
                self.clock.refresh();
                self.ticks = MESSAGES_PER_TICK;
            }
        }
    }
}

impl Stream for RequestBody {
    type Item = Result<IncomingEntry, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.read_clock();
        loop {
            if let Some(incoming) = ready!(self.poll_message(context))? {
                self.messages.increment();
                self.read += 1;
                return Poll::Ready(Some(Ok(incoming)));
            }
            match self.poll_frame(context)? {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(None),
                Poll::Pending => {
                    let late = ready!(self.poll_silence(context));
                    self.budget.count_late();
                    return Poll::Ready(Some(Err(late)));
                }
            }
        }
    }
}

/// Ready with memory for the entry that `message` becomes, where it is large.
fn poll_entry_budget(
    budget: &mut StreamBudget,
    message: &[u8],
    context: &mut Context<'_>,
) -> Poll<Option<Reservation>> {
    if message.len() < LARGE_BYTES {
        return Poll::Ready(None);
    }
    let needed = EntryReader::encoded_bytes(message);
    budget.poll_encoded(needed, context).map(Some)
}

/// Where the message at the beginning of `bytes` ends; `None` while its prefix is not whole.
fn end(bytes: &[u8]) -> Result<Option<usize>, Status> {
    let Some([compressed, length @ ..]) = bytes.first_chunk::<PREFIX_BYTES>() else {
        return Ok(None);
    };
    match compressed {
        0 => {}
        1 => {
            return Err(Status::internal(
                "a message has its compressed flag set, and the request names no grpc-encoding",
            ));
        }
        other => {
            return Err(Status::internal(format!(
                "a message's compressed flag is {other}, it needs 0 or 1"
            )));
        }
    }
    Ok(Some(PREFIX_BYTES + u32::from_be_bytes(*length) as usize))
}

/// Where the message at the beginning of `bytes` ends, when all of it is there.
fn whole(bytes: &[u8]) -> Result<Option<usize>, Status> {
    Ok(end(bytes)?.filter(|end| *end <= bytes.len()))
}

#[cfg(test)]
mod tests;
