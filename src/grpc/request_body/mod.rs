//! The request body of a push, read as entries.
//!
//! An entry never becomes a message struct, nor is it copied on the way: the scan, the checks and
//! the encoding for readers happen in one pass over the transport's own frames. Only a message
//! that is spread over several frames is put together first, and one that is packed is unpacked.

mod packed;

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::Stream;
use http_body::Body as _;
use tonic::Status;
use tonic::body::Body;

use super::arrival::{ArrivalWatch, Progress, Skipped};
use super::framing::{PREFIX_BYTES, Packing, Prefix};
use super::message_counter::MessageCounter;
use super::unpack::most_bytes;
use crate::encode::CachedClock;
use crate::ingest::{EntryReader, FREE_BYTES, IncomingEntry, Reservation, StreamBudget};
use packed::Packed;

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
    packing: Packing,
    /// What is left of the last frame.
    frame: Bytes,
    /// The beginning of a message that continues in the next frame.
    begun: Vec<u8>,
    /// A packed message that has arrived and is not read.
    packed: Option<Packed>,
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
        (packing, max_bytes): (Packing, usize),
        messages: MessageCounter,
        budget: StreamBudget,
    ) -> Self {
        let (frame, begun, packed, skipped, watch) = Default::default();
        let clock = CachedClock::now();
        let (ticks, read, read_before) = (0, 0, 0);
        Self {
            body,
            reader,
            messages,
            clock,
            ticks,
            packing,
            frame,
            begun,
            packed,
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
        if self.packed.is_some() {
            return self.poll_packed(context);
        }
        if self.begun.is_empty() && self.skipped.is_none() {
            match whole(&self.frame, self.packing)? {
                Some(Prefix { is_packed: true, length }) if length <= self.max_bytes => {
                    self.frame.advance(PREFIX_BYTES);
                    let message = self.frame.split_to(length);
                    self.packed = Some(Packed::new(message)?);
                    return self.poll_packed(context);
                }
                Some(prefix) if prefix.length <= self.max_bytes => {
                    let end = prefix.end();
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
        let Some(prefix) = Prefix::read(&self.begun, self.packing)? else {
            return Poll::Ready(Ok(None));
        };
        let (length, wanted) = (prefix.length, prefix.end());
        if length > self.max_bytes {
            self.begun.clear();
            self.skipped = Some(Skipped::new(length, self.max_bytes));
            return Poll::Ready(Ok(self.skip()));
        }
        // Nobody waits for memory who holds some, so the whole of it is reserved at once.
        let is_large = prefix.is_packed && wanted > FREE_BYTES;
        let needed = if is_large { most_bytes(length, self.max_bytes) } else { wanted };
        let budget = ready!(self.budget.poll_unfinished(needed, context));
        budget.map_err(|error| Status::resource_exhausted(error.to_string()))?;
        self.begun.reserve_exact(wanted - self.begun.len());
        self.take(wanted);
        if self.begun.len() < wanted {
            return Poll::Ready(Ok(None));
        }
        if prefix.is_packed {
            let message = Bytes::from(std::mem::take(&mut self.begun)).slice(PREFIX_BYTES..);
            self.packed = Some(Packed::new(message)?);
            return self.poll_packed(context);
        }
        let message = &self.begun[PREFIX_BYTES..];
        let budget = ready!(poll_entry_budget(&mut self.budget, message, context));
        let incoming = self.reader.read(message, self.clock.as_str());
        self.begun.clear();
        self.begun.shrink_to(KEPT_BYTES);
        drop(self.budget.take_unfinished());
        Poll::Ready(Ok(Some(IncomingEntry { budget, ..incoming })))
    }

    /// Ready with the packed message that has arrived.
    fn poll_packed(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<IncomingEntry>, Status>> {
        let Some(packed) = &mut self.packed else { return Poll::Ready(Ok(None)) };
        let incoming = match packed.refused_above(self.max_bytes) {
            Some(refused) => refused,
            None => {
                ready!(packed.poll_unpacked(&mut self.budget, context))?;
                let message = packed.message();
                let budget = ready!(poll_entry_budget(&mut self.budget, message, context));
                let incoming = self.reader.read(message, self.clock.as_str());
                IncomingEntry { budget, ..incoming }
            }
        };
        self.packed = None;
        drop(self.budget.take_unfinished());
        Poll::Ready(Ok(Some(incoming)))
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
            let prefix = Prefix::read(&self.begun, self.packing).ok().flatten();
            let length = prefix.map_or(0, |prefix| prefix.length);
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

/// The prefix of the message at the beginning of `bytes`, when all of it is there.
fn whole(bytes: &[u8], packing: Packing) -> Result<Option<Prefix>, Status> {
    Ok(Prefix::read(bytes, packing)?.filter(|prefix| prefix.end() <= bytes.len()))
}

#[cfg(test)]
mod tests;
