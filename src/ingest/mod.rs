//! From a producer's messages to durable batches and answers. Knows no gRPC.
//!
//! ```text
//! bytes ─ EntryReader ─▶ Item ─ Gathering ─▶ Batch ─ Log ─▶ Receipt ─ Exchange ─▶ Answer
//! ```
//!
//! An [`Exchange`] is one producer's stream: it gathers what is ready into a batch, has
//! several batches on their way to the disk, and answers each entry in order. When the log's
//! queue is full it stops reading, which holds the producer back by flow control. A [`Fetch`]
//! takes the same way for entries that the server fetches itself and that nobody awaits an
//! answer for.

mod answers;
mod carriers;
mod exchange;
mod fetch;
mod gathering;
mod intake;
mod reader;
mod registry;
mod status;

pub use answers::{AckMode, Answer, Outcome};
pub use exchange::{End, Exchange};
pub use fetch::{Fetch, Fetched};
pub use intake::{Counters, Intake, Limits, Pushes, Slot};
pub use reader::{Accepted, EntryReader, Ids, Item, Refusal};
pub use registry::{Registered, Registry};
pub use status::{Notified, StatusError};
