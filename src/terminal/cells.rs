//! A row's columns, for a row that is changed and not only appended to.

use super::span::{Span, push};
use super::style::{Color, Flags, Style};

/// What a cell has that nothing was written in, or that belongs to the character before it.
const NOTHING: char = '\0';

/// One column.
#[derive(Debug, Clone)]
struct Cell {
    character: char,
    /// How many columns the character takes; 0 for its second and further ones.
    width: usize,
    /// Characters without a width that follow it.
    marks: String,
    style: Style,
}

impl Cell {
    const BLANK: Self = Self {
        character: NOTHING,
        width: 1,
        marks: String::new(),
        style: Style { foreground: Color::Unset, background: Color::Unset, flags: Flags::NONE },
    };
}

/// The columns of one row.
#[derive(Debug, Clone, Default)]
pub(super) struct Cells(Vec<Cell>);

impl Cells {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Writes a character of `width` columns at `column`, which may be beyond the end.
    pub(super) fn put(&mut self, column: usize, character: char, width: usize, style: Style) {
        if column > self.0.len() {
            self.0.resize(column, Cell::BLANK);
        }
        let end = column + width;
        for at in column..end.min(self.0.len()) {
            self.free(at);
        }
        self.0.resize(end.max(self.0.len()), Cell::BLANK);
        self.0[column] = Cell { character, width, marks: String::new(), style };
        for cell in &mut self.0[column + 1..end] {
            *cell = Cell { width: 0, ..Cell::BLANK };
        }
    }

    /// Adds a character without a width to the one before `column`.
    pub(super) fn mark(&mut self, column: usize, mark: char) {
        let before = self.0.iter_mut().take(column).rev().find(|cell| cell.width > 0);
        if let Some(cell) = before.filter(|cell| cell.character != NOTHING) {
            cell.marks.push(mark);
        }
    }

    /// Makes the columns from `from` up to but not including `to` blank.
    pub(super) fn erase(&mut self, from: usize, to: usize) {
        for at in from..to.min(self.0.len()) {
            self.free(at);
        }
        self.trim();
    }

    pub(super) fn truncate(&mut self, column: usize) {
        if column < self.0.len() {
            self.free(column);
            self.0.truncate(column);
            self.trim();
        }
    }

    /// Takes `count` columns away, which moves those behind them to the left.
    pub(super) fn delete(&mut self, column: usize, count: usize) {
        let end = (column + count).min(self.0.len());
        if column < end {
            self.untab(column);
            (column..end).for_each(|at| self.free(at));
            self.split(end);
            self.0.drain(column..end);
            self.trim();
        }
    }

    /// Makes room for `count` blank columns, which moves those behind them to the right, up to
    /// `limit` columns.
    pub(super) fn insert(&mut self, column: usize, count: usize, limit: usize) {
        if column >= self.0.len() {
            return;
        }
        self.untab(column);
        self.split(column);
        let count = count.min(limit.saturating_sub(column));
        self.0.splice(column..column, std::iter::repeat_n(Cell::BLANK, count));
        self.truncate(limit);
    }

    /// Gives up the columns behind the last one that was written in.
    fn trim(&mut self) {
        while self.0.last().is_some_and(|cell| cell.width == 1 && cell.character == NOTHING) {
            self.0.pop();
        }
    }

    /// Makes blanks of the tabs from `column` on: one that is moved would end elsewhere.
    fn untab(&mut self, column: usize) {
        for at in column..self.0.len() {
            if self.0[at].character == '\t' {
                self.free(at);
            }
        }
    }

    /// Makes sure that no character reaches over `column` from the left.
    fn split(&mut self, column: usize) {
        if self.0.get(column).is_some_and(|cell| cell.width == 0) {
            self.free(column);
        }
    }

    /// Blanks the column and whatever else of its character there is.
    fn free(&mut self, column: usize) {
        let lead = (0..=column).rev().find(|at| self.0[*at].width > 0).unwrap_or(column);
        let end = (lead + self.0[lead].width.max(1)).min(self.0.len());
        self.0[lead..end].fill(Cell::BLANK);
    }

    /// The text up to the last column that was written in.
    pub(super) fn into_spans(mut self) -> Vec<Span> {
        self.trim();
        let mut spans = Vec::new();
        for cell in self.0.into_iter().filter(|cell| cell.width > 0) {
            let character = if cell.character == NOTHING { ' ' } else { cell.character };
            push(&mut spans, character, cell.style);
            if let Some(last) = spans.last_mut() {
                last.text.push_str(&cell.marks);
            }
        }
        spans
    }
}
