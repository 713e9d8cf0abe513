//! From messages to what is seen of them.

use std::borrow::Cow;

use super::parser;
use super::screen::Screen;
use super::span::Span;
use super::style::Style;
use super::text::{as_row, needs_work, without_line_end};

/// What one worker's terminal remembers from line to line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terminal {
    style: Style,
}

impl Terminal {
    /// The visible rows of the worker's next message, at least one. A copy of the terminal shows
    /// an unfinished one, which does not change what comes after it.
    pub fn show(&mut self, message: &str) -> Vec<Vec<Span>> {
        let text = without_line_end(message);
        if !needs_work(text) {
            return vec![as_row(text, self.style)];
        }
        let mut screen = Screen::new(self.style);
        parser::feed(&mut screen, text);
        self.style = screen.style();
        screen.into_rows()
    }

    /// Whether the next message is shown as if it were the first.
    pub fn is_fresh(&self) -> bool {
        self.style.is_plain()
    }
}

/// What a terminal shows of `message`, rows separated by line feeds.
pub fn plain_text(message: &str) -> Cow<'_, str> {
    let text = without_line_end(message);
    if !needs_work(text) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    for (at, row) in Terminal::default().show(message).iter().enumerate() {
        if at > 0 {
            plain.push('\n');
        }
        row.iter().for_each(|span| plain.push_str(&span.text));
    }
    Cow::Owned(plain)
}
