//! The protocols' other ends: what the commands, and the tests, talk to a server with.
//!
//! - [`push`]: sends lines over gRPC and resends what was not acknowledged.
//! - [`spool`]: keeps on the disk what a push could not deliver, and sends it later.
//! - [`follow`]: reads a server-sent event stream and resumes it where it broke off.
//! - [`tasks`]: asks for tasks without their logs.
//! - [`https`]: the HTTP clients beneath `follow` and `tasks`, with TLS.
//! - [`sse`]: the event stream parser beneath `follow`.

mod away;
pub mod backoff;
pub mod follow;
pub mod https;
pub mod push;
pub mod spool;
pub mod sse;
pub mod tasks;
