//! The response body of a push: acks that are ready together leave in one frame.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http_body::Frame;
use prost::Message;
use tonic::Status;

use super::framing::PREFIX_BYTES;

/// A frame with this many bytes is full.
const FRAME_BYTES: usize = 16 * 1024;

/// A frame's first capacity, in bytes: enough for some twenty ACKs.
const LEAST_BYTES: usize = 256;

/// Acks as length-prefixed messages, and behind them the status that ends the call.
pub(super) struct ResponseBody<S> {
    messages: S,
    /// Set once there are no more acks.
    end: Option<Status>,
    is_over: bool,
}

impl<S, M> ResponseBody<S>
where
    S: Stream<Item = Result<M, Status>> + Unpin,
    M: Message,
{
    pub(super) fn new(messages: S) -> Self {
        Self { messages, end: None, is_over: false }
    }

    /// Takes what is ready, up to a full frame.
    fn take_ready(&mut self, context: &mut Context<'_>) -> BytesMut {
        let mut frame = BytesMut::new();
        while frame.len() < FRAME_BYTES && self.end.is_none() {
            match self.messages.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(message))) => put(&mut frame, &message),
                Poll::Ready(Some(Err(status))) => self.end = Some(status),
                Poll::Ready(None) => self.end = Some(Status::ok("")),
                Poll::Pending => break,
            }
        }
        frame
    }
}

impl<S, M> http_body::Body for ResponseBody<S>
where
    S: Stream<Item = Result<M, Status>> + Unpin,
    M: Message,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let frame = self.take_ready(context);
        if !frame.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(frame.freeze()))));
        }
        let Some(status) = self.end.take() else { return Poll::Pending };
        self.is_over = true;
        let mut trailers = http::HeaderMap::new();
        status.add_header(&mut trailers)?;
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }
}

fn put(frame: &mut BytesMut, message: &impl Message) {
    let length = message.encoded_len();
    let least = if frame.is_empty() { LEAST_BYTES } else { 0 };
    frame.reserve((PREFIX_BYTES + length).max(least));
    frame.put_u8(0);
    // An ack is a few numbers and a reason, far below the prefix's limit of 4 GiB.
    frame.put_u32(length as u32);
    message.encode_raw(frame);
}
