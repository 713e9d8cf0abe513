//! From protobuf bytes to the JSON that readers get, in one pass, and back for filters.
//!
//! An [`EntryEncoder`] finds an entry's fields in its protobuf bytes without copying them and
//! writes them as JSON members once. [`Fields`] reads a few of them back.

mod clock;
mod entry;
mod escape;
mod fields;
mod json;
mod long_line;
mod output;
mod protobuf;
mod repair;
mod scan;

pub use clock::{CachedClock, format_ms, parse_ms, parse_time};
pub use entry::{Encoded, EntryEncoder, ProducerNumbering, SEQ_KEY, SESSION_KEY, UNFINISHED_KEY};
pub use escape::write_text;
pub use fields::{Fields, read_body};
pub use json::{EntryIds, StatusParts, gap_run, write_end_of_task, write_gap, write_status};
pub use long_line::{LineLimits, LongLine, Uncut, write_part};
pub use output::{write_decimal, write_json};
pub use protobuf::{Malformed, RawIds};
pub use repair::{repair_entry, repair_status};
pub use scan::WireLayout;

#[cfg(test)]
mod tests;
