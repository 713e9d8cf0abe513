//! From a producer's messages to durable batches and acks. Knows no gRPC.
//!
//! ```text
//! bytes ─ EntryReader ─▶ IncomingEntry ─ BatchBuilder ─▶ Batch ─ Log ─▶ Receipt ─ PushSession ─▶ Ack
//! ```
//!
//! A [`PushSession`] is one producer's stream: it collects what has arrived into a batch, has
//! several batches on their way to the disk, and acknowledges each entry in order. When the log's
//! queue is full it stops reading, which holds the producer back by flow control. A
//! [`PullWriter`] does the same for entries that the server pulls; nobody waits for their acks.

mod acks;
mod active_tasks;
mod batch_builder;
mod budget;
mod counters;
mod cut;
mod intake;
mod intake_log;
mod pull_writer;
mod push_session;
mod reader;
mod registry;
mod status;

pub use acks::{Ack, AckMode, AckStatus};
pub use budget::{
    ConnectionBudget, FREE_BYTES, IngestBudget, MessageBudget, NoBudget, Reservation, StreamBudget,
};
pub use counters::IntakeCounters;
pub use intake::{Intake, Limits, Pushes, StreamPermit};
pub use pull_writer::{PullCounts, PullWriter};
pub use push_session::{PushSession, SessionEnd};
pub use reader::{Accepted, EntryReader, Ids, IncomingEntry, ProducerSeq, Refusal};
pub use registry::{Admitted, Registered, RegisteredEntries, Registry};
pub use status::{Notified, StatusError};
