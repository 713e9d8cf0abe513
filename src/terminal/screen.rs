//! The rows that one message writes in, and the cursor.

use super::row::{COLUMNS, Row, next_tab_stop, width_of};
use super::span::Span;
use super::style::Style;

/// The cursor reaches so many rows: a screen's height.
const SCREEN_ROWS: usize = 50;

/// How many columns one message may skip, which a row then has as blanks.
const MAX_BLANKS: usize = 20_000;

/// Where a cursor was.
#[derive(Debug, Clone, Copy)]
struct SavedCursor {
    /// Counted from the last row, for rows are added in front.
    rows_before_first: usize,
    row: usize,
    column: Option<usize>,
    style: Style,
}

/// A message's screen. Before its first row there are blank ones, made when the cursor gets there.
pub(super) struct Screen {
    rows: Vec<Row>,
    /// How many of the rows were made in front of the first one.
    rows_before_first: usize,
    row: usize,
    /// `None` is behind the last character, so that appending needs to know no columns.
    column: Option<usize>,
    style: Style,
    saved: Option<SavedCursor>,
    blanks_left: usize,
    /// Whether the cursor went up or down other than by a line feed.
    has_jumped: bool,
}

impl Screen {
    pub(super) fn new(style: Style) -> Self {
        Self {
            rows: vec![Row::new()],
            rows_before_first: 0,
            row: 0,
            column: None,
            style,
            saved: None,
            blanks_left: MAX_BLANKS,
            has_jumped: false,
        }
    }

    pub(super) fn style(&self) -> Style {
        self.style
    }

    pub(super) fn restyle(&mut self, change: impl FnOnce(&mut Style)) {
        change(&mut self.style);
    }

    pub(super) fn reset_style(&mut self) {
        self.style = Style::default();
    }

    /// What the message shows: its rows, from the top. One that shows nothing has an empty row.
    pub(super) fn into_rows(self) -> Vec<Vec<Span>> {
        let taken = self.rows.into_iter().filter(|row| row.is_taken);
        let mut rows: Vec<_> = taken.map(Row::into_spans).collect();
        if rows.is_empty() {
            rows.push(Vec::new());
        }
        rows
    }

    pub(super) fn print(&mut self, character: char) {
        if character == '\x7f' {
            return;
        }
        let (width, style) = (width_of(character), self.style);
        let column = self.column_to_write();
        let row = &mut self.rows[self.row];
        match column {
            None if width == 0 => return row.append_mark(character),
            None => row.append(character, style),
            Some(column) => {
                let Some(cells) = row.columns() else { return };
                if width == 0 {
                    return cells.mark(column, character);
                }
                cells.put(column, character, width, style);
                self.column = (!row.is_too_long()).then_some(column + width);
            }
        }
        row.is_taken = true;
    }

    /// Moves to the next tab stop. Where there is nothing yet the tab itself is kept, so that text
    /// with tabs can be copied.
    pub(super) fn tab(&mut self) {
        let Some(column) = self.column_to_write() else {
            self.rows[self.row].append('\t', Style::default());
            return;
        };
        let stop = next_tab_stop(column).min(COLUMNS - 1);
        if let Some(cells) = self.rows[self.row].columns()
            && column == cells.len()
            && stop > column
        {
            cells.put(column, '\t', stop - column, Style::default());
        }
        self.column = Some(stop);
    }

    /// To the beginning of the next row, a new one below the last.
    pub(super) fn line_feed(&mut self) {
        self.go_to_next_row();
        self.column = Some(0);
    }

    /// To the next row, a new one below the last, in the same column.
    pub(super) fn index(&mut self) {
        self.column = Some(self.column_or_edge());
        self.go_to_next_row();
    }

    fn go_to_next_row(&mut self) {
        if self.row + 1 == self.rows.len() {
            self.rows[self.row].is_taken = true;
            self.rows.push(Row::new());
        }
        self.row += 1;
    }

    /// The last row is shown although it is blank, unless the message shows others and only came
    /// back to it.
    pub(super) fn end_message(&mut self) {
        let is_last = self.row + 1 == self.rows.len();
        let shows_another = self.has_jumped && self.rows.iter().any(|row| row.is_taken);
        if is_last && !shows_another {
            self.rows[self.row].is_taken = true;
        }
    }

    pub(super) fn move_up(&mut self, count: usize) {
        self.column = Some(self.column_or_edge());
        let room = (SCREEN_ROWS + self.row).saturating_sub(self.rows.len());
        let count = count.min(room);
        let missing = count.saturating_sub(self.row);
        self.rows.splice(0..0, std::iter::repeat_n(Row::new(), missing));
        self.rows_before_first += missing;
        self.row = self.row + missing - count;
        self.has_jumped = true;
    }

    pub(super) fn move_down(&mut self, count: usize) {
        self.column = Some(self.column_or_edge());
        self.row = (self.row + count).min(self.rows.len() - 1);
        self.has_jumped = true;
    }

    pub(super) fn move_left(&mut self, count: usize) {
        if let Some(column) = self.known_column() {
            self.column = Some(column.saturating_sub(count));
        }
    }

    pub(super) fn move_right(&mut self, count: usize) {
        if let Some(column) = self.known_column() {
            self.column = Some((column + count).min(COLUMNS - 1));
        }
    }

    pub(super) fn move_to_column(&mut self, column: usize) {
        self.column = Some(column.min(COLUMNS - 1));
    }

    pub(super) fn erase_right(&mut self) {
        let row = &mut self.rows[self.row];
        match self.column {
            Some(0) => row.clear(),
            Some(column) => {
                if let Some(cells) = row.columns() {
                    cells.truncate(column);
                }
            }
            None => {}
        }
    }

    pub(super) fn erase_left(&mut self) {
        if let Some(column) = self.known_column()
            && let Some(cells) = self.rows[self.row].columns()
        {
            cells.erase(0, column + 1);
        }
    }

    pub(super) fn erase_row(&mut self) {
        self.column = Some(self.known_column().unwrap_or(0));
        self.rows[self.row].clear();
    }

    /// The rest of the row and the rows below it.
    pub(super) fn erase_below(&mut self) {
        self.erase_right();
        self.rows[self.row + 1..].iter_mut().for_each(Row::clear);
    }

    pub(super) fn erase_cells(&mut self, count: usize) {
        if let Some(column) = self.known_column()
            && let Some(cells) = self.rows[self.row].columns()
        {
            cells.erase(column, column.saturating_add(count));
        }
    }

    pub(super) fn delete_cells(&mut self, count: usize) {
        if let Some(column) = self.known_column()
            && let Some(cells) = self.rows[self.row].columns()
        {
            cells.delete(column, count);
        }
    }

    pub(super) fn insert_cells(&mut self, count: usize) {
        if let Some(column) = self.known_column()
            && let Some(cells) = self.rows[self.row].columns()
        {
            cells.insert(column, count, COLUMNS);
        }
    }

    pub(super) fn save_cursor(&mut self) {
        let (rows_before_first, row) = (self.rows_before_first, self.row);
        let (column, style) = (Some(self.column_or_edge()), self.style);
        self.saved = Some(SavedCursor { rows_before_first, row, column, style });
    }

    /// Back to where the cursor was saved, if it was, within the screen.
    pub(super) fn restore_cursor(&mut self) {
        let Some(saved) = self.saved else { return };
        let row = saved.row + self.rows_before_first - saved.rows_before_first;
        self.row = row.max(self.rows.len().saturating_sub(SCREEN_ROWS));
        self.column = saved.column;
        self.style = saved.style;
        self.has_jumped = true;
    }

    /// Where the next character goes; `None` where it is appended.
    fn column_to_write(&mut self) -> Option<usize> {
        let column = self.column?;
        let row = &mut self.rows[self.row];
        let length = match column {
            0 if row.is_empty() => None,
            _ => row.columns().map(|cells| cells.len()),
        };
        self.column = length.map(|length| {
            let blanks = column.saturating_sub(length);
            match self.blanks_left.checked_sub(blanks) {
                Some(left) => {
                    self.blanks_left = left;
                    column
                }
                None => length,
            }
        });
        self.column
    }

    /// The cursor's column; `None` in a row that is too long to have columns.
    fn known_column(&mut self) -> Option<usize> {
        if self.column.is_none() {
            self.column = self.rows[self.row].columns().map(|cells| cells.len());
        }
        self.column
    }

    fn column_or_edge(&mut self) -> usize {
        self.known_column().unwrap_or(COLUMNS - 1)
    }
}
