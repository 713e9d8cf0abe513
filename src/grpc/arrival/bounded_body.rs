//! The request body of a call that does not push: tonic puts its messages together, within these
//! bounds.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use tonic::Status;
use tonic::body::Body;

use super::hold::CallHold;
use super::watch::{ArrivalWatch, Progress};
use crate::grpc::framing::{PREFIX_BYTES, Packing};
use crate::ingest::StreamBudget;

/// What tonic and the handler hold of a message: its bytes, its fields, and the entry made of it.
const HELD_TIMES: usize = 3;

/// How long a call's messages may be.
#[derive(Debug, Clone, Copy)]
pub(in crate::grpc) struct MessageLimit {
    /// The greatest length, in bytes.
    pub(in crate::grpc) bytes: usize,
    /// Whether the caller may be silent between two messages.
    pub(in crate::grpc) is_stream: bool,
}

impl MessageLimit {
    /// The memory for a message of `length` bytes as it is sent, in bytes. A packed one may hold as
    /// much as is allowed.
    fn needed_bytes(&self, length: usize, packing: Packing) -> usize {
        match packing {
            Packing::Identity => HELD_TIMES * length,
            Packing::Gzip => length + HELD_TIMES * self.bytes,
        }
    }
}

/// A body that ends with a status where a message is too long, or does not arrive in time.
pub(super) struct BoundedBody {
    body: Body,
    limit: MessageLimit,
    packing: Packing,
    budget: StreamBudget,
    watch: ArrivalWatch,
    scan: MessageScan,
    /// A frame that waits for memory for its message.
    waiting: Option<Frame<Bytes>>,
    /// Keeps the memory until the call has been handled.
    hold: CallHold,
}

/// How far the messages in a body have come.
#[derive(Debug, Default)]
struct MessageScan {
    prefix: Vec<u8>,
    /// Bytes that the message still lacks.
    missing: usize,
    /// The length of the message that came last.
    length: usize,
    messages: u64,
}

impl BoundedBody {
    pub(super) fn new(
        body: Body,
        (limit, packing): (MessageLimit, Packing),
        budget: StreamBudget,
        hold: CallHold,
    ) -> Self {
        let (watch, scan) = Default::default();
        Self { body, limit, packing, budget, watch, scan, waiting: None, hold }
    }

    /// Ready when there is memory for the message that `waiting` belongs to.
    fn poll_waiting(&mut self, context: &mut Context<'_>) -> Poll<Result<Frame<Bytes>, Status>> {
        let needed = self.limit.needed_bytes(self.scan.length, self.packing);
        if !self.hold.has_budget() {
            let budget = ready!(self.budget.poll_unfinished(needed, context));
            budget.map_err(|error| Status::resource_exhausted(error.to_string()))?;
            self.hold.put(self.budget.take_unfinished());
        }
        Poll::Ready(self.waiting.take().ok_or_else(|| Status::internal("no frame was waiting")))
    }

    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        let is_between = self.scan.is_between();
        if is_between && (self.limit.is_stream || self.scan.messages > 0) {
            self.watch.forget();
            return Poll::Pending;
        }
        let length = self.scan.length;
        let bytes = length.saturating_sub(self.scan.missing) + self.scan.prefix.len();
        self.watch.poll(Progress { messages: self.scan.messages, bytes }, length, context)
    }
}

impl HttpBody for BoundedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.waiting.is_none() {
            let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
                let late = ready!(this.poll_silence(context));
                this.budget.count_late();
                return Poll::Ready(Some(Err(late)));
            };
            let Some(frame) = frame.transpose()? else { return Poll::Ready(None) };
            if let Some(data) = frame.data_ref() {
                this.scan.add(data, this.limit)?;
            }
            this.waiting = Some(frame);
        }
        this.poll_waiting(context).map(Some)
    }

    fn is_end_stream(&self) -> bool {
        self.waiting.is_none() && self.body.is_end_stream()
    }
}

impl MessageScan {
    fn is_between(&self) -> bool {
        self.missing == 0 && self.prefix.is_empty()
    }

    /// Follows the messages through `data`.
    fn add(&mut self, mut data: &[u8], limit: MessageLimit) -> Result<(), Status> {
        while !data.is_empty() {
            if self.messages > 0 && !limit.is_stream {
                return Err(Status::invalid_argument("the call takes one message, more came"));
            }
            let taken = if self.missing > 0 {
                let taken = self.missing.min(data.len());
                self.missing -= taken;
                taken
            } else {
                self.add_prefix(data, limit.bytes)?
            };
            data = &data[taken..];
            if self.missing == 0 && self.prefix.is_empty() {
                self.messages += 1;
            }
        }
        Ok(())
    }

    /// Takes bytes of a message's prefix; returns how many.
    fn add_prefix(&mut self, data: &[u8], limit: usize) -> Result<usize, Status> {
        let taken = (PREFIX_BYTES - self.prefix.len()).min(data.len());
        self.prefix.extend_from_slice(&data[..taken]);
        if let [_, length @ ..] = &*self.prefix
            && let Ok(length) = <[u8; 4]>::try_from(length)
        {
            self.length = u32::from_be_bytes(length) as usize;
            self.missing = self.length;
            self.prefix.clear();
            if self.length > limit {
                let length = self.length;
                let reason = format!("a message is {length} bytes, the limit is {limit}");
                return Err(Status::resource_exhausted(reason));
            }
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_and_measured_wherever_the_frames_are_cut() {
        let limit = |bytes| MessageLimit { bytes, is_stream: true };
        let wire = b"\0\0\0\0\x03abc\0\0\0\0\0\0\0\0\0\x01d\0\0\0\0\x09half";
        for bytes in 1..=wire.len() {
            let mut scan = MessageScan::default();
            wire.chunks(bytes).for_each(|data| scan.add(data, limit(9)).unwrap());
            assert_eq!((scan.messages, scan.length, scan.missing), (3, 9, 5), "{bytes}");
            let mut scan = MessageScan::default();
            let refused =
                wire.chunks(bytes).find_map(|data| scan.add(data, limit(8)).err()).unwrap();
            assert_eq!(refused.message(), "a message is 9 bytes, the limit is 8");
            assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
            let mut scan = MessageScan::default();
            let unary = MessageLimit { bytes: 9, is_stream: false };
            assert!(wire.chunks(bytes).any(|data| scan.add(data, unary).is_err()));
        }
    }
}
