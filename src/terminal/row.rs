//! One row of a screen.

use unicode_width::UnicodeWidthChar;

use super::cells::Cells;
use super::span::{Span, push};
use super::style::Style;

/// A row with more columns is only appended to, until it is erased. It bounds what one escape
/// sequence can cost; no terminal is that wide.
pub(super) const COLUMNS: usize = 1000;

const TAB_COLUMNS: usize = 8;

/// A row's text. Most rows are only ever appended to and never have columns.
#[derive(Debug, Clone)]
enum Content {
    Appended(Vec<Span>),
    /// As `Appended`, and longer than [`COLUMNS`].
    Long(Vec<Span>),
    Columns(Cells),
}

/// A row of a screen.
#[derive(Debug, Clone)]
pub(super) struct Row {
    content: Content,
    /// Whether the message has shown something in it, if only a line feed.
    pub(super) is_taken: bool,
}

impl Row {
    pub(super) const fn new() -> Self {
        Self { content: Content::Appended(Vec::new()), is_taken: false }
    }

    /// Whether nothing was written since it was made or cleared.
    pub(super) fn is_empty(&self) -> bool {
        matches!(&self.content, Content::Appended(spans) if spans.is_empty())
    }

    pub(super) fn clear(&mut self) {
        self.content = Content::Appended(Vec::new());
    }

    /// Writes behind the last character of a row that has no columns.
    pub(super) fn append(&mut self, character: char, style: Style) {
        if let Content::Appended(spans) | Content::Long(spans) = &mut self.content {
            push(spans, character, style);
        }
    }

    /// Adds a character without a width to the last one of a row that has no columns.
    pub(super) fn append_mark(&mut self, mark: char) {
        if let Content::Appended(spans) | Content::Long(spans) = &mut self.content
            && let Some(last) = spans.last_mut()
        {
            last.text.push(mark);
        }
    }

    /// The row's columns; `None` for one that is too long.
    pub(super) fn columns(&mut self) -> Option<&mut Cells> {
        if let Content::Appended(spans) = &mut self.content {
            self.content = divide(std::mem::take(spans));
        }
        match &mut self.content {
            Content::Columns(cells) => Some(cells),
            Content::Appended(_) | Content::Long(_) => None,
        }
    }

    /// Gives the columns up where there are too many; returns whether there were.
    pub(super) fn is_too_long(&mut self) -> bool {
        match &mut self.content {
            Content::Columns(cells) if cells.len() > COLUMNS => {
                self.content = Content::Long(std::mem::take(cells).into_spans());
                true
            }
            _ => false,
        }
    }

    pub(super) fn into_spans(self) -> Vec<Span> {
        match self.content {
            Content::Appended(spans) | Content::Long(spans) => spans,
            Content::Columns(cells) => cells.into_spans(),
        }
    }
}

/// The columns of appended text, or the text where there are too many.
fn divide(spans: Vec<Span>) -> Content {
    let mut cells = Cells::default();
    for span in &spans {
        for character in span.text.chars() {
            let column = cells.len();
            match width_in(column, character) {
                0 => cells.mark(column, character),
                width => cells.put(column, character, width, span.style),
            }
            if cells.len() > COLUMNS {
                return Content::Long(spans);
            }
        }
    }
    Content::Columns(cells)
}

/// The first tab stop behind `column`.
pub(super) fn next_tab_stop(column: usize) -> usize {
    (column / TAB_COLUMNS + 1) * TAB_COLUMNS
}

/// How many columns `character` takes at `column`.
fn width_in(column: usize, character: char) -> usize {
    if character == '\t' { next_tab_stop(column) - column } else { width_of(character) }
}

/// How many columns a character takes; a control character takes one.
pub(super) fn width_of(character: char) -> usize {
    character.width().unwrap_or(1)
}
