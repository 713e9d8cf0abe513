//! Lines as pieces of a body, made while the reader takes them.

use bytes::Bytes;

use super::line_reader::LineReader;
use super::missing::MissingLines;
use crate::domain::{Block, Entry, Kind};
use crate::http::reader_budget::{PIECE_BYTES, ReaderBudget, with_budget};
use crate::permits::BytePermit;
use crate::store::ReadError;
use crate::subscribe::{LineFilter, LineParts};

/// What the lines of a range become.
pub(super) trait Writer: Send {
    /// Whether entries are written out; otherwise large ones need no budget.
    const KEEPS_ENTRIES: bool = true;

    /// Whether nothing more is wanted.
    fn is_full(&self) -> bool;

    /// Appends what becomes of `entry`, a line of this number or a part of it.
    fn write(&mut self, out: &mut Vec<u8>, line: u64, entry: &Entry<'_>);

    /// Notes a line, or a part of it, that the filter hides.
    fn hide(&mut self, line: u64, entry: &Entry<'_>);

    /// Appends what tells that lines are missing here.
    fn write_missing(&mut self, out: &mut Vec<u8>, missing: &MissingLines);

    /// Appends what stands behind the last line.
    fn end(&mut self, _: &mut Vec<u8>) {}
}

/// Makes pieces of what a reader reads.
pub(super) struct Pieces<W> {
    pub(super) reader: LineReader,
    pub(super) writer: W,
    filter: LineFilter,
    budget: ReaderBudget,
    /// Reservation for what was read and not written yet.
    ahead: Option<BytePermit>,
    /// Reservation for a line that is larger than a piece.
    for_line: Option<BytePermit>,
    /// Whether the last line, and what is missing right behind it, were written.
    is_done: bool,
}

/// Why a piece ends.
enum End {
    /// It is large enough, or the block is written.
    Piece,
    /// The next line needs memory for so many bytes.
    LargeLine(usize),
    /// The filter must look up the next line.
    UnknownLine(LineParts),
    /// The next line is not wanted.
    Done,
}

impl<W: Writer> Pieces<W> {
    pub(super) fn new(reader: LineReader, writer: W, budget: ReaderBudget) -> Self {
        let filter = LineFilter::new(reader.filter.clone());
        Self { reader, writer, filter, budget, ahead: None, for_line: None, is_done: false }
    }

    /// The next piece, which is empty where a filter hid a whole block; `None` once all is
    /// written.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        let mut out = Vec::new();
        while !self.is_done {
            // While nothing is held, others must wait with their reads.
            let reading = match self.ahead {
                Some(_) if !self.reader.is_drained() => None,
                _ => Some(self.budget.read().await),
            };
            let block = self.reader.block().await?;
            self.write_missing_before(&mut out, block.as_deref());
            let Some(block) = block.filter(|_| !self.is_done) else {
                self.end(&mut out);
                break;
            };
            let end = self.write(&mut out, &block);
            self.keep_what_is_left();
            drop((block, reading));
            match end {
                End::LargeLine(_) if !out.is_empty() => return Ok(Some(out.into())),
                End::LargeLine(bytes) => {
                    // Whoever waits for memory holds none.
                    self.reader.forget();
                    self.ahead = None;
                    self.for_line = Some(self.budget.large(bytes).await);
                }
                End::UnknownLine(parts) => {
                    let _reading = self.budget.read().await;
                    self.reader.look_up(&mut self.filter, parts).await?;
                }
                End::Done => self.end(&mut out),
                End::Piece => return Ok(Some(self.piece(out))),
            }
        }
        Ok((!out.is_empty()).then(|| self.piece(out)))
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.is_done = true;
        self.writer.end(out);
    }

    /// Tells what is missing before `block`, unless the page before the missing lines is full.
    fn write_missing_before(&mut self, out: &mut Vec<u8>, block: Option<&Block>) {
        for missing in self.reader.missing_before(block) {
            if self.writer.is_full() && missing.lines.is_some() {
                self.is_done = true;
                return;
            }
            self.writer.write_missing(out, &missing);
        }
    }

    /// Writes the wanted entries of `block`, up to a whole piece.
    fn write(&mut self, out: &mut Vec<u8>, block: &Block) -> End {
        let from = self.reader.from();
        for entry in block.entries().filter(|entry| entry.offset >= from) {
            if out.len() >= PIECE_BYTES {
                return End::Piece;
            }
            let Some(line) = entry.line else {
                self.write_refused(out, &entry);
                continue;
            };
            if line < self.reader.range.start {
                continue;
            }
            let is_next = entry.kind == Kind::Log;
            if line >= self.reader.range.end || (is_next && self.writer.is_full()) {
                return End::Done;
            }
            let passes = match self.filter.passes(&entry) {
                Ok(passes) => passes,
                Err(parts) => {
                    self.reader.go_on_at(entry.offset);
                    return End::UnknownLine(parts);
                }
            };
            let is_large = passes && W::KEEPS_ENTRIES && entry.body.len() > PIECE_BYTES;
            if is_large && self.for_line.is_none() {
                self.reader.go_on_at(entry.offset);
                return End::LargeLine(entry.body.len());
            }
            if passes {
                self.writer.write(out, line, &entry);
            } else {
                self.writer.hide(line, &entry);
            }
            self.reader.note_line(line);
            self.reader.go_on_at(entry.offset.next());
            if self.for_line.is_some() {
                return End::Piece;
            }
        }
        self.reader.go_on_at(block.end());
        End::Piece
    }

    /// Tells the lines that a gap in the log stands for. It belongs to the line before it.
    fn write_refused(&mut self, out: &mut Vec<u8>, entry: &Entry<'_>) {
        if entry.kind == Kind::Gap {
            let missing = MissingLines::refused(entry, self.reader.last_line());
            self.writer.write_missing(out, &missing);
        }
        self.reader.go_on_at(entry.offset.next());
    }

    /// Forgets what was read ahead where there is no memory for it.
    fn keep_what_is_left(&mut self) {
        if self.reader.is_drained() {
            self.ahead = None;
        } else if self.ahead.is_none() {
            self.ahead = self.budget.try_ahead(self.reader.held_bytes());
        }
        if self.ahead.is_none() {
            self.reader.forget();
        }
    }

    fn piece(&mut self, bytes: Vec<u8>) -> Bytes {
        match self.for_line.take() {
            Some(budget) if !bytes.is_empty() => with_budget(bytes, budget),
            _ => bytes.into(),
        }
    }
}
