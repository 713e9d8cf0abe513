//! Any number of lines, read while they are sent.

use std::io;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use super::format::Format;
use super::line_reader::LineReader;
use crate::domain::{Block, Entry};
use crate::encode::{Fields, write_json};

/// The state behind a body.
struct Download {
    reader: LineReader,
    format: Format,
    /// How many lines may still be sent.
    left: u64,
}

/// Up to `limit` of the lines that `reader` reads, a chunk per block. Where the log cannot be read
/// the body is cut off, so that nobody takes a part for the whole.
pub(super) fn body(reader: LineReader, format: Format, limit: Option<u64>) -> Body {
    let download = Download { reader, format, left: limit.unwrap_or(u64::MAX) };
    let chunks = stream::try_unfold(Box::new(download), async |mut download| {
        let chunk = download.next().await?;
        Ok::<_, io::Error>(chunk.map(|chunk| (Bytes::from(chunk), download)))
    });
    Body::from_stream(chunks)
}

impl Download {
    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        while self.left > 0
            && let Some(block) = self.reader.next().await.map_err(report)?
        {
            if let Some(gap) = self.reader.gap {
                return Err(report(format!("lines were removed while they were sent: {gap:?}")));
            }
            let chunk = self.render(&block);
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
            // A filter may hide any number of blocks, so other tasks get their turn.
            tokio::task::yield_now().await;
        }
        Ok(None)
    }

    fn render(&mut self, block: &Block) -> Vec<u8> {
        let mut chunk = Vec::new();
        for entry in block.entries() {
            if self.left == 0 {
                break;
            }
            if self.reader.line(&entry).is_some() && self.reader.filter.matches(&entry) {
                write_line(&mut chunk, self.format, &entry);
                self.left -= 1;
            }
        }
        chunk
    }
}

fn write_line(out: &mut Vec<u8>, format: Format, entry: &Entry<'_>) {
    match format {
        Format::Text => {
            Fields::read(entry, |fields| out.extend_from_slice(fields.message.as_bytes()));
        }
        Format::Json | Format::Ndjson => write_json(out, entry),
    }
    out.push(b'\n');
}

fn report(error: impl std::fmt::Display) -> io::Error {
    tracing::error!(%error, "a download was cut off");
    io::Error::other("the log cannot be read")
}
