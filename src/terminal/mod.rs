//! What a terminal would have shown of a worker's lines.
//!
//! A message is a string of bytes for a terminal: it overwrites itself after a carriage return,
//! moves the cursor, colours. A [`Terminal`] resolves it into the rows that remain visible, with
//! their styles; nothing in them can make another terminal do anything.
//!
//! The model, alike in `web/js/terminal` and held by `tests/fixtures/terminal.json`:
//!
//! - Rows are as wide as their text. One that is longer than 1,000 columns is only appended to.
//! - Above the first row of a message there are 49 blank ones: what it writes there belongs to it.
//! - A style lasts over a worker's lines until it is reset.
//! - Line feeds within a message begin a new row; one line end at its end is no row.
//! - An escape sequence that a message does not finish ends with it.
//! - Everything else is swallowed, whatever it is.
//!
//! `docs/adr/0017-terminal-model.md` has the reasons.

mod cells;
mod parser;
mod resolve;
mod row;
mod screen;
mod sgr;
mod span;
mod style;
mod text;

pub use resolve::{Terminal, plain_text};
pub use span::Span;
pub use style::{Color, Flags, Style};
pub use text::without_line_end;

#[cfg(test)]
mod tests;
