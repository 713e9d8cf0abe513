//! Any number of lines, read while they are sent.

use std::io;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use super::format::Format;
use super::line_reader::LineReader;
use super::missing::MissingLines;
use super::pieces::{Pieces, Writer};
use crate::domain::Entry;
use crate::encode::{Fields, write_json};
use crate::http::reader_budget::ReaderBudget;
use crate::subscribe::Filter;
use crate::terminal::{plain_text, without_line_end};

/// Writes lines one after another.
struct Lines {
    format: Format,
    filter: Filter,
    tells_gaps: bool,
    /// How many lines may still be sent.
    left: u64,
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
    let filter = reader.filter.clone();
    let writer = Lines { format, filter, tells_gaps, left: limit.unwrap_or(u64::MAX) };
    let pieces = Box::new(Pieces::new(reader, writer, budget));
    let chunks = stream::try_unfold(pieces, async |mut pieces| {
        let chunk = next(&mut pieces).await?;
        Ok::<_, io::Error>(chunk.map(|chunk| (chunk, pieces)))
    });
    Body::from_stream(chunks)
}

async fn next(pieces: &mut Pieces<Lines>) -> io::Result<Option<Bytes>> {
    while let Some(piece) = pieces.next().await.map_err(report)? {
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
        if !self.filter.matches(entry) {
            return;
        }
        match self.format {
            // A line end that the message has at its end is the one that is written.
            Format::Text => Fields::read(entry, |fields| {
                out.extend_from_slice(without_line_end(&fields.message).as_bytes());
            }),
            Format::Plain => Fields::read(entry, |fields| {
                out.extend_from_slice(plain_text(&fields.message).as_bytes());
            }),
            Format::Json | Format::Ndjson => write_json(out, entry),
        }
        out.push(b'\n');
        self.left -= 1;
    }

    fn write_missing(&mut self, out: &mut Vec<u8>, missing: &MissingLines) {
        match self.format {
            _ if !self.tells_gaps => {}
            Format::Text | Format::Plain => missing.write_text(out),
            Format::Json | Format::Ndjson => missing.write_ndjson(out),
        }
    }
}

/// Reports why a body is cut off.
pub(super) fn report(error: impl std::fmt::Display) -> io::Error {
    tracing::error!(%error, "a download was cut off");
    io::Error::other("the log cannot be read")
}
