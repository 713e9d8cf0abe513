//! The one place where an ack gets the contract's types.

use crate::ingest::{Ack, AckStatus};
use crate::proto::ottoscaler::log_forward_response::Status as ForwardStatus;
use crate::proto::ottoscaler::log_response::Status as StreamStatus;

// Both responses have the same statuses, so that one translation serves both.
const _: () = assert!(
    ForwardStatus::Ack as i32 == StreamStatus::Ack as i32
        && ForwardStatus::Retry as i32 == StreamStatus::Retry as i32
        && ForwardStatus::Drop as i32 == StreamStatus::Drop as i32
);

/// The message of an ACK that comes again on an idle stream. The contract names it.
const STILL_HERE: &str = "still here";

/// What both responses say of an entry.
pub(super) struct WireAck {
    pub(super) status: i32,
    /// Empty, or why the entry is not kept, or that an ACK comes again.
    pub(super) message: String,
    pub(super) sequence: i64,
    pub(super) throttle_ms: i32,
}

impl From<Ack> for WireAck {
    fn from(ack: Ack) -> Self {
        let (status, message) = match ack.status {
            AckStatus::Kept => (ForwardStatus::Ack, String::new()),
            AckStatus::Retry(reason) => (ForwardStatus::Retry, reason),
            AckStatus::StillHere => (ForwardStatus::Ack, STILL_HERE.to_owned()),
            AckStatus::Dropped(reason) => (ForwardStatus::Drop, reason),
        };
        Self {
            status: status.into(),
            message,
            sequence: i64::try_from(ack.sequence).unwrap_or(i64::MAX),
            throttle_ms: i32::try_from(ack.throttle_ms).unwrap_or(i32::MAX),
        }
    }
}
