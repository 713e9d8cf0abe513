//! The gRPC server: translates between the contract's messages and [`crate::ingest`].
//!
//! Serves `OttoHandlerLogService`, `LogStreamingService`, health and reflection.

mod ack;
mod arrival;
mod connection;
mod framing;
mod generated;
mod health;
mod log_service;
mod message_counter;
mod push;
mod request_body;
mod response_body;
mod serve;
mod streaming_service;
mod unpack;

pub use health::Health;
pub use message_counter::MessageCounter;
pub use serve::{GrpcOptions, serve};
