//! What a push could not deliver, kept in files until a later push sends it.
//!
//! Each push that gives up writes one file of its own: whose lines they are, the lines with their
//! session and numbers, and the worker's end. A later push sends the file with the same session and
//! numbers, so that the server keeps each line once, and then removes it.
//!
//! All files of a directory together stay below a bound. Of a log that does not fit, the beginning
//! and the newest lines are kept; the numbers tell the server what is missing between them.
//!
//! The directory's file `lock` is locked for moments: to make a file, to look how much room is left
//! and fill it, to take a file. Each file is locked by whoever writes or sends it, so no two do. The
//! system gives the locks of a process that dies back.

mod directory;
mod error;
mod file;
mod record;
mod sender;
mod tail;
#[cfg(test)]
mod tests;
mod writer;

pub use directory::{MIN_BYTES, SpoolDir};
pub use error::SpoolError;
pub use sender::{SpoolNotice, SpoolSender, SpoolTotals};
pub use writer::{SpoolReport, SpoolWriter};
