//! From wire bytes to the JSON that readers get, in one pass, and back for filters.
//!
//! [`Scanner`] finds an entry's fields in its protobuf bytes without copying them;
//! [`write_entry`] writes them as JSON members once. [`Fields`] reads a few of them back.

mod escape;
mod fields;
mod json;
mod protobuf;
mod scan;
mod stamp;

pub use escape::write_text;
pub use fields::Fields;
pub use json::{EntryParts, PodParts, StatusParts, write_entry, write_gap, write_status};
pub use protobuf::Malformed;
pub use scan::{Layout, Scanner};
pub use stamp::{Stamp, format_ms};

#[cfg(test)]
mod tests;
