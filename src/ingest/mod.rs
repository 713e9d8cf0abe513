//! From a producer's messages to durable batches and acks. Knows no gRPC.
//!
//! ```text
//! bytes ─ EntryReader ─▶ IncomingEntry ─ BatchBuilder ─▶ Batch ─ Log ─▶ Receipt ─ PushSession ─▶ Ack
//! ```
//!
//! An [`PushSession`] is one producer's stream: it gathers what is ready into a batch, has
//! several batches on their way to the disk, and acks each entry in order. When the log's
//! queue is full it stops reading, which holds the producer back by flow control. A [`PullWriter`]
//! takes the same way for entries that the server fetches itself and that nobody awaits an
//! answer for.

mod acks;
mod active_tasks;
mod batch_builder;
mod intake;
mod pull_writer;
mod push_session;
mod reader;
mod registry;
mod status;

pub use acks::{Ack, AckMode, AckStatus};
pub use intake::{Counters, Intake, Limits, Pushes, StreamPermit};
pub use pull_writer::{PullCounts, PullWriter};
pub use push_session::{PushSession, SessionEnd};
pub use reader::{Accepted, EntryReader, Ids, IncomingEntry, Refusal};
pub use registry::{Registered, Registry};
pub use status::{Notified, StatusError};
