//! The protocols' other ends: what the commands, and the tests, talk to a server with.
//!
//! - [`push`]: sends lines over gRPC and resends what was not acknowledged.
//! - [`follow`]: reads a server-sent event stream and resumes it where it broke off.
//! - [`tasks`]: asks for tasks without their logs.
//! - [`sse`]: the event stream parser beneath `follow`.

mod away;
pub mod backoff;
pub mod follow;
pub mod push;
pub mod sse;
pub mod tasks;
