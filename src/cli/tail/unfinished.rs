//! The row below the lines, in a terminal: what a worker has written without a line feed.

use std::io::{self, IsTerminal, Write};

use crate::domain::TaskId;

/// Goes to the beginning of the row and erases it.
const ERASE: &str = "\r\x1b[K";

/// A terminal's columns where it does not tell.
const USUAL_COLUMNS: u16 = 80;

/// What workers have written without a line feed; the newest is drawn.
pub(super) struct UnfinishedRow {
    is_shown: bool,
    /// The newest last.
    lines: Vec<UnfinishedLine>,
    is_drawn: bool,
}

struct UnfinishedLine {
    task: TaskId,
    worker: String,
    source: String,
    /// As it is printed.
    text: String,
}

impl UnfinishedRow {
    /// A row that is drawn where standard output is a terminal.
    pub(super) fn of_stdout() -> Self {
        Self { is_shown: io::stdout().is_terminal(), ..Self::hidden() }
    }

    /// A row that is never drawn.
    pub(super) fn hidden() -> Self {
        Self { is_shown: false, lines: Vec::new(), is_drawn: false }
    }

    /// How wide it may be; `None` where it is never drawn.
    pub(super) fn columns(&self) -> Option<usize> {
        let told = || rustix::termios::tcgetwinsize(io::stdout()).map(|size| size.ws_col);
        let columns = || told().ok().filter(|columns| *columns > 0).unwrap_or(USUAL_COLUMNS);
        // A full row would have the cursor begin another one.
        self.is_shown.then(|| usize::from(columns()) - 1)
    }

    /// The worker has written `text` to its source.
    pub(super) fn set(&mut self, task: &TaskId, worker: &str, source: &str, text: String) {
        self.finish(task, worker, source);
        let (task, worker, source) = (task.clone(), worker.to_owned(), source.to_owned());
        self.lines.push(UnfinishedLine { task, worker, source, text });
    }

    /// The worker has finished its line.
    pub(super) fn finish(&mut self, task: &TaskId, worker: &str, source: &str) {
        self.lines
            .retain(|line| line.task != *task || line.worker != worker || line.source != source);
    }

    /// Nothing more comes of the task.
    pub(super) fn forget(&mut self, task: &TaskId) {
        self.lines.retain(|line| line.task != *task);
    }

    pub(super) fn draw(&mut self, output: &mut impl Write) -> io::Result<()> {
        self.erase(output)?;
        let Some(newest) = self.lines.last() else { return Ok(()) };
        self.is_drawn = true;
        write!(output, "{}", newest.text)
    }

    pub(super) fn erase(&mut self, output: &mut impl Write) -> io::Result<()> {
        if !std::mem::take(&mut self.is_drawn) {
            return Ok(());
        }
        write!(output, "{ERASE}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_drawn_and_erased_before_something_else_is_printed() {
        let task = TaskId::new("t").unwrap();
        let mut row = UnfinishedRow { is_shown: true, ..UnfinishedRow::hidden() };
        let mut output = Vec::new();
        row.set(&task, "a", "stdout", "50%".into());
        row.draw(&mut output).unwrap();
        row.set(&task, "b", "stdout", "Proceed?".into());
        row.draw(&mut output).unwrap();
        row.finish(&task, "b", "stdout");
        row.erase(&mut output).unwrap();
        row.erase(&mut output).unwrap();
        row.draw(&mut output).unwrap();
        row.forget(&task);
        row.draw(&mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        assert_eq!(text, format!("50%{ERASE}Proceed?{ERASE}50%{ERASE}"));
    }
}
