//! From wire bytes to the JSON that readers get, in one pass, and back for filters.
//!
//! An [`EntryEncoder`] finds an entry's fields in its protobuf bytes without copying them and
//! writes them as JSON members once. [`Fields`] reads a few of them back.

mod entry;
mod escape;
mod fields;
mod json;
mod protobuf;
mod scan;
mod stamp;

pub use entry::{Encoded, EntryEncoder, Numbering, SEQ_KEY, SESSION_KEY};
pub use escape::write_text;
pub use fields::Fields;
pub use json::{StatusParts, write_gap, write_status};
pub use protobuf::Malformed;
pub use scan::Layout;
pub use stamp::{Stamp, format_ms};

#[cfg(test)]
mod tests;
