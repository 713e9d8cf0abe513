//! The gRPC side: translates between the contract's messages and [`crate::ingest`].
//!
//! Serves `OttoHandlerLogService`, `LogStreamingService`, health and reflection. The only module that knows tonic.

mod connection;
mod health;
mod log_service;
mod push;
mod request_body;
mod response_body;
mod serve;
mod streaming_service;

pub use health::Health;
pub use request_body::messages_of_this_thread;
pub use serve::{GrpcOptions, serve};

/// A message above this many bytes ends its call, before anything is allocated for it.
const MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// The methods of the log services that push nothing.
mod generated {
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    pub mod log {
        tonic::include_proto!("ottoscaler.v1.OttoHandlerLogService");
    }
    pub mod streaming {
        tonic::include_proto!("ottoscaler.v1.LogStreamingService");
    }
}
