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
use tonic::body::Body;
use tonic::{Code, Status};

use super::arrival::{ArrivalWatch, Progress};
use super::framing::{MAX_MESSAGE_BYTES, PREFIX_BYTES};
use super::message_counter::MessageCounter;
use crate::encode::{CachedClock, WireLayout};
use crate::ingest::{EntryReader, IncomingEntry, Reservation, StreamBudget};

/// The capacity for a message in parts that is kept for the next one, in bytes.
const KEPT_BYTES: usize = 16 * 1024;

/// From this length on, in bytes, a message is read only once there is memory for its entry. An
/// entry of a shorter one is counted when it is there.
const LARGE_BYTES: usize = 2 * 1024;

/// The clock is read once for this many messages, while they come without a pause.
const MESSAGES_PER_TICK: u32 = 16;

/// The entries of one request. Ends with the body, or where the peer cancels.
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
    budget: StreamBudget,
    watch: ArrivalWatch,
    /// Messages read in all, and when the transport had nothing more the last time.
    read: u64,
    read_before: u64,
}

impl RequestBody {
    pub(super) fn new(
        body: Body,
        layout: WireLayout,
        messages: MessageCounter,
        budget: StreamBudget,
    ) -> Self {
        let (frame, begun, watch) = Default::default();
        let (reader, clock) = (EntryReader::new(layout), CachedClock::now());
        let (ticks, read, read_before) = (0, 0, 0);
        Self {
            body,
            reader,
            messages,
            clock,
            ticks,
            frame,
            begun,
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
        if self.begun.is_empty() {
            match whole(&self.frame)? {
                Some(end) => {
                    let message = &self.frame[PREFIX_BYTES..end];
                    let budget = ready!(poll_entry_budget(&mut self.budget, message, context));
                    let incoming = self.reader.read(message, self.clock.as_str());
                    self.frame.advance(end);
                    return Poll::Ready(Ok(Some(IncomingEntry { budget, ..incoming })));
                }
                None if self.frame.is_empty() => return Poll::Ready(Ok(None)),
                None => {}
            }
        }
        self.poll_message_in_parts(context)
    }

    /// The same for a message that is in more than one frame.
    fn poll_message_in_parts(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<IncomingEntry>, Status>> {
        self.take(PREFIX_BYTES);
        let Some(wanted) = end(&self.begun)? else { return Poll::Ready(Ok(None)) };
        let budget = ready!(self.budget.poll_unfinished(wanted, context));
        budget.map_err(|error| Status::resource_exhausted(error.to_string()))?;
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

    /// Called when nothing more has arrived. Ready with why the call ends, when it has waited for
    /// the rest of a message for too long.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        self.ticks = 0;
        let was_quiet = self.read == self.read_before;
        self.read_before = self.read;
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
                // The peer cancelled. What arrived before is kept; an error for a message that is
                // not whole would reach nobody.
                Some(Err(status)) if status.code() == Code::Cancelled => Ok(false),
                Some(Err(status)) => Err(status),
                None => self.end(),
            });
        }
    }

    fn end(&self) -> Result<bool, Status> {
        if self.begun.is_empty() {
            return Ok(false);
        }
        let bytes = self.begun.len();
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
    let length = u32::from_be_bytes(*length) as usize;
    if length > MAX_MESSAGE_BYTES {
        return Err(Status::resource_exhausted(format!(
            "a message is {length} bytes, the limit is {MAX_MESSAGE_BYTES}"
        )));
    }
    Ok(Some(PREFIX_BYTES + length))
}

/// Where the message at the beginning of `bytes` ends, when all of it is there.
fn whole(bytes: &[u8]) -> Result<Option<usize>, Status> {
    Ok(end(bytes)?.filter(|end| *end <= bytes.len()))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use futures_util::StreamExt;
    use http_body::Frame;
    use prost::Message;

    use super::*;
    use crate::ingest::IngestBudget;
    use crate::proto::ottoscaler::WorkerLogEntry;

    /// A body of these frames.
    struct Frames(VecDeque<Bytes>);

    impl http_body::Body for Frames {
        type Data = Bytes;
        type Error = Status;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(self.0.pop_front().map(|data| Ok(Frame::data(data))))
        }
    }

    fn prefixed(compressed: u8, length: usize, message: &[u8]) -> Vec<u8> {
        [&[compressed], &(length as u32).to_be_bytes()[..], message].concat()
    }

    fn entry(message: &str) -> Vec<u8> {
        let (task_id, worker_id, message) = ("t".into(), "w".into(), message.into());
        let wire = WorkerLogEntry { task_id, worker_id, message, ..Default::default() };
        let wire = wire.encode_to_vec();
        prefixed(0, wire.len(), &wire)
    }

    /// What was read from a body.
    #[derive(Debug, Default)]
    struct ReadBody {
        /// The messages' sizes, in bytes.
        sizes: Vec<usize>,
        /// Whether each message was an entry.
        accepted: Vec<bool>,
        error: Option<Status>,
    }

    /// Reads `wire` in frames of `bytes`.
    async fn read(wire: &[u8], bytes: usize) -> ReadBody {
        let frames = wire.chunks(bytes).map(Bytes::copy_from_slice).collect();
        let (body, counter) = (Body::new(Frames(frames)), MessageCounter::default());
        let connection = IngestBudget::new(8 << 20).connection();
        let budget = StreamBudget::new(connection, std::time::Duration::from_secs(30));
        let mut entries =
            RequestBody::new(body, WireLayout::WorkerLogEntry, counter.clone(), budget);
        let mut read = ReadBody::default();
        while let Some(incoming) = entries.next().await {
            match incoming {
                Ok(incoming) => {
                    read.sizes.push(incoming.wire_bytes);
                    read.accepted.push(incoming.entry.is_ok());
                }
                Err(status) => read.error = Some(status),
            }
            if read.error.is_some() {
                break;
            }
        }
        assert_eq!(counter.get(), read.sizes.len() as u64);
        read
    }

    #[tokio::test]
    async fn messages_come_out_whole_wherever_the_frames_are_cut() {
        let long = "x".repeat(300);
        let empty = prefixed(0, 0, b"");
        let wire = [entry("one"), empty, entry(&long), entry("last")].concat();
        for bytes in 1..=wire.len() {
            let read = read(&wire, bytes).await;
            assert_eq!(read.sizes, [11, 0, 309, 12], "frames of {bytes} bytes");
            assert_eq!(read.accepted, [true, false, true, true], "frames of {bytes} bytes");
            assert!(read.error.is_none(), "frames of {bytes} bytes: {:?}", read.error);
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_a_rule_ends_with_a_status_that_says_which() {
        let too_long = prefixed(0, MAX_MESSAGE_BYTES + 1, b"");
        let cut = &entry("cut")[..9];
        let cases = [
            (&too_long[..], Code::ResourceExhausted, "a message is 4194305 bytes, the limit is"),
            (&prefixed(1, 0, b""), Code::Internal, "its compressed flag set"),
            (&prefixed(7, 0, b""), Code::Internal, "compressed flag is 7, it needs 0 or 1"),
            (cut, Code::Internal, "the stream ends 9 bytes into a message"),
        ];
        for (wire, code, reason) in cases {
            let wire = [&entry("good"), wire].concat();
            for bytes in [1, 3, wire.len()] {
                let read = read(&wire, bytes).await;
                let status = read.error.expect(reason);
                assert_eq!((&read.sizes[..], status.code()), (&[12][..], code));
                assert!(status.message().contains(reason), "{status}");
            }
        }
    }
}
