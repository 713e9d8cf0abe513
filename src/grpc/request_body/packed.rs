//! A packed message, from its arrival until it is read.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tonic::Status;

use crate::grpc::unpack::{PackedMessage, Unpacking};
use crate::ingest::{IncomingEntry, StreamBudget};

/// How much of a message that is too long is unpacked, in bytes: ids stand at its beginning.
const BEGINNING_BYTES: usize = 4 * 1024;

/// How far a packed message has come.
pub(super) enum Packed {
    /// It waits for memory.
    Arrived(PackedMessage),
    Unpacking(Box<Unpacking>),
    Unpacked(Vec<u8>),
}

impl Packed {
    /// # Errors
    /// When the bytes cannot be a packed message.
    pub(super) fn new(bytes: Bytes) -> Result<Self, Status> {
        Ok(Self::Arrived(PackedMessage::new(bytes)?))
    }

    /// What is told of it where more than `limit` bytes are in it.
    pub(super) fn refused_above(&self, limit: usize) -> Option<IncomingEntry> {
        let Self::Arrived(message) = self else { return None };
        let length = message.length();
        let beginning = || message.beginning(BEGINNING_BYTES);
        (length > limit).then(|| IncomingEntry::too_long(length, limit, &beginning()))
    }

    /// Ready once all of it is unpacked.
    pub(super) fn poll_unpacked(
        &mut self,
        budget: &mut StreamBudget,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Status>> {
        loop {
            match self {
                Self::Unpacked(_) => return Poll::Ready(Ok(())),
                Self::Arrived(message) => {
                    let reserved = ready!(budget.poll_unfinished(message.needed_bytes(), context));
                    reserved.map_err(|error| Status::resource_exhausted(error.to_string()))?;
                    let Self::Arrived(message) =
                        std::mem::replace(self, Self::Unpacked(Vec::new()))
                    else {
                        continue;
                    };
                    *self = Self::Unpacking(Box::new(message.unpack()));
                }
                Self::Unpacking(unpacking) => match unpacking.turn()? {
                    Some(message) => *self = Self::Unpacked(message),
                    None => {
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                },
            }
        }
    }

    /// The message, once it is unpacked.
    pub(super) fn message(&self) -> &[u8] {
        match self {
            Self::Unpacked(message) => message,
            Self::Arrived(_) | Self::Unpacking(_) => &[],
        }
    }
}
