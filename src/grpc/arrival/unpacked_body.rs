//! The request body of a call that does not push, with its packed messages unpacked.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame};
use tonic::Status;

use super::bounded_body::{BoundedBody, MessageLimit};
use crate::grpc::framing::{PREFIX_BYTES, Packing, Prefix};
use crate::grpc::unpack::unpack_short;

/// A body whose frames hold whole messages, none of them packed.
pub(super) struct UnpackedBody {
    body: BoundedBody,
    limit: MessageLimit,
    /// The beginning of a message.
    begun: BytesMut,
}

impl UnpackedBody {
    /// Unpacks the messages of `body`, which has memory for messages of `limit`.
    pub(super) fn new(body: BoundedBody, limit: MessageLimit) -> Self {
        Self { body, limit, begun: BytesMut::new() }
    }

    /// The message at the beginning of what has come, where it is whole.
    fn take_message(&mut self) -> Result<Option<Bytes>, Status> {
        let Some(prefix) = Prefix::read(&self.begun, Packing::Gzip)? else { return Ok(None) };
        if self.begun.len() < prefix.end() {
            return Ok(None);
        }
        let message = self.begun.split_to(prefix.end()).freeze();
        if !prefix.is_packed {
            return Ok(Some(message));
        }
        let unpacked = unpack_short(message.slice(PREFIX_BYTES..), self.limit.bytes)?;
        let mut frame = BytesMut::with_capacity(PREFIX_BYTES + unpacked.len());
        frame.put_u8(0);
        frame.put_u32(unpacked.len() as u32);
        frame.put_slice(&unpacked);
        Ok(Some(frame.freeze()))
    }
}

impl HttpBody for UnpackedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        loop {
            if let Some(message) = this.take_message()? {
                return Poll::Ready(Some(Ok(Frame::data(message))));
            }
            match ready!(Pin::new(&mut this.body).poll_frame(context)).transpose()? {
                Some(frame) => match frame.into_data() {
                    Ok(data) => this.begun.put(data),
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                // What is left is no whole message, which tonic refuses.
                None if !this.begun.is_empty() => {
                    let rest = this.begun.split().freeze();
                    return Poll::Ready(Some(Ok(Frame::data(rest))));
                }
                None => return Poll::Ready(None),
            }
        }
    }
}
