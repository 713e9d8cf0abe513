//! What control chunks hold: how far sources were read, and what of tasks is hidden.

mod cursors;
mod trim;

pub(in crate::store) use cursors::Cursors;
pub(in crate::store) use trim::{TaskTrim, Trim, decode_trims, encode_trims};
