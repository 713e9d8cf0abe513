//! The gRPC side: translates between the contract's messages and [`crate::ingest`].
//!
//! Serves `OttoHandlerLogService`, health and reflection. The only module that knows tonic.

mod codec;
mod health;
mod late_end;
mod log_service;
mod serve;

pub use codec::EntryCodec;
pub use health::Health;
pub use serve::{Options, serve};

/// The server side of `OttoHandlerLogService`, generated over [`EntryCodec`].
mod generated {
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    tonic::include_proto!("ottoscaler.v1.OttoHandlerLogService");
}
