//! The gRPC side: translates between the contract's messages and [`crate::ingest`].
//!
//! Serves `OttoHandlerLogService`, `LogStreamingService`, health and reflection. The only module that knows tonic.

mod codec;
mod health;
mod late_end;
mod log_service;
mod serve;
mod streaming_service;

pub use codec::{EntryCodec, ForwardCodec, StreamCodec};
pub use health::Health;
pub use serve::{Options, serve};

/// The server sides of the log services, generated over [`EntryCodec`].
mod generated {
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    pub mod log {
        tonic::include_proto!("ottoscaler.v1.OttoHandlerLogService");
    }
    pub mod streaming {
        tonic::include_proto!("ottoscaler.v1.LogStreamingService");
    }
}
