//! Any number of lines, read while they are sent.

use std::io;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tracing::Span;

use super::format::Format;
use super::line_reader::LineReader;
use super::missing::MissingLines;
use super::pieces::{Pieces, Writer};
use crate::domain::{Entry, Kind};
use crate::encode::{Fields, write_json};
use crate::http::reader_budget::ReaderBudget;
use crate::store::ReadError;
use crate::terminal::{plain_text, without_line_end};

/// Writes lines one after another.
struct Lines {
    format: Format,
    tells_gaps: bool,
    /// How many lines may still be sent.
    left: u64,
    /// Whether the last line of a text still has parts to come.
    is_open: bool,
}

/// Up to `limit` of the lines that `reader` reads. Where the log cannot be read the body is cut
/// off, so that nobody takes a part for the whole.
pub(super) fn body(
    reader: LineReader,
    format: Format,
    tells_gaps: bool,
    limit: Option<u64>,
    budget: ReaderBudget,
) -> Body {
    let left = limit.unwrap_or(u64::MAX);
    let writer = Lines { format, tells_gaps, left, is_open: false };
    let pieces = Box::new(Pieces::new(reader, writer, budget));
    // The body is read when the request's span was left.
    let span = Span::current();
    let chunks = stream::try_unfold((pieces, span), async |(mut pieces, span)| {
        let chunk = next(&mut pieces).await.map_err(|error| span.in_scope(|| report(error)))?;
        Ok::<_, io::Error>(chunk.map(|chunk| (chunk, (pieces, span))))
    });
    Body::from_stream(chunks)
}

async fn next(pieces: &mut Pieces<Lines>) -> Result<Option<Bytes>, ReadError> {
    while let Some(piece) = pieces.next().await? {
        if !piece.is_empty() {
            return Ok(Some(piece));
        }
        // A filter may hide any number of blocks, so other tasks get their turn.
        tokio::task::yield_now().await;
    }
    Ok(None)
}

impl Writer for Lines {
    fn is_full(&self) -> bool {
        self.left == 0
    }

    fn write(&mut self, out: &mut Vec<u8>, _: u64, entry: &Entry<'_>) {
        let is_next = entry.kind == Kind::Log;
        self.left -= u64::from(is_next);
        if matches!(self.format, Format::Json | Format::Ndjson) {
            write_json(out, entry);
            return out.push(b'\n');
        }
        if is_next {
            self.end(out);
        }
        Fields::read(entry, |fields| {
            self.is_open = fields.part < fields.parts;
            match self.format {
                Format::Plain => out.extend_from_slice(plain_text(&fields.message).as_bytes()),
                _ if self.is_open => out.extend_from_slice(fields.message.as_bytes()),
                // A line end that the message has at its end is the one that is written.
                _ => out.extend_from_slice(without_line_end(&fields.message).as_bytes()),
            }
        });
        if !self.is_open {
            out.push(b'\n');
        }
    }

    fn hide(&mut self, _: u64, _: &Entry<'_>) {}

    fn write_missing(&mut self, out: &mut Vec<u8>, missing: &MissingLines) {
        self.end(out);
        match self.format {
            _ if !self.tells_gaps => {}
            Format::Text | Format::Plain => missing.write_text(out),
            Format::Json | Format::Ndjson => missing.write_ndjson(out),
        }
    }

    /// Ends a line whose last parts are missing.
    fn end(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.is_open) {
            out.push(b'\n');
        }
    }
}

/// Reports why a body is cut off.
pub(super) fn report(error: impl std::fmt::Display) -> io::Error {
    tracing::error!(%error, "a download was cut off");
    io::Error::other("the log cannot be read")
}
