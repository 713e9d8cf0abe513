//! The response's body of a push: the answers that are ready at once leave in one frame.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http_body::Frame;
use prost::Message;
use tonic::Status;

use super::request_body::PREFIX_BYTES;

/// A frame takes no further answer from here on, in bytes.
const FRAME_BYTES: usize = 16 * 1024;

/// Room that a frame begins with, in bytes: enough for some twenty ACKs.
const LEAST_BYTES: usize = 256;

/// Acks as length-prefixed messages, and behind them the status that ends the call.
pub(super) struct Acks<S> {
    answers: S,
    /// Set once there are no more answers.
    end: Option<Status>,
    is_over: bool,
}

impl<S, M> Acks<S>
where
    S: Stream<Item = Result<M, Status>> + Unpin,
    M: Message,
{
    pub(super) fn new(answers: S) -> Self {
        Self { answers, end: None, is_over: false }
    }

    /// Takes what is ready, up to a frame full.
    fn take_ready(&mut self, context: &mut Context<'_>) -> BytesMut {
        let mut frame = BytesMut::new();
        while frame.len() < FRAME_BYTES && self.end.is_none() {
            match self.answers.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(answer))) => put(&mut frame, &answer),
                Poll::Ready(Some(Err(status))) => self.end = Some(status),
                Poll::Ready(None) => self.end = Some(Status::ok("")),
                Poll::Pending => break,
            }
        }
        frame
    }
}

impl<S, M> http_body::Body for Acks<S>
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

fn put(frame: &mut BytesMut, answer: &impl Message) {
    let length = answer.encoded_len();
    let least = if frame.is_empty() { LEAST_BYTES } else { 0 };
    frame.reserve((PREFIX_BYTES + length).max(least));
    frame.put_u8(0);
    // Acks are a few numbers and a reason: far below what the prefix can tell.
    frame.put_u32(length as u32);
    answer.encode_raw(frame);
}
