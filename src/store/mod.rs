//! The log store: keeps batches durably, gives them their offsets, reads them back.
//!
//! [`Log`] is the seam between everyone and the log. Behind it stands the
//! segmented log of one machine; a replicated one would stand there too.

mod log;

pub use log::{AppendError, Committed, Gap, Log, Read, ReadError, Receipt, Refused, Scope};
