//! Lines of any number, read while they are sent.

use std::io;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use super::Format;
use super::walk::Walk;
use crate::domain::{Block, Entry};
use crate::encode::{Fields, write_json};

/// The state behind a body.
struct Download {
    walk: Walk,
    format: Format,
    /// Lines still to send; without a limit, all.
    left: u64,
}

/// The lines of `walk`, up to `limit` of them. Each chunk is those of one block. Cut off where
/// the log cannot be read, so that a part is not taken for the whole.
pub(super) fn body(walk: Walk, format: Format, limit: Option<u64>) -> Body {
    let download = Download { walk, format, left: limit.unwrap_or(u64::MAX) };
    let chunks = stream::try_unfold(Box::new(download), async |mut download| {
        let chunk = download.next().await?;
        Ok::<_, io::Error>(chunk.map(|chunk| (Bytes::from(chunk), download)))
    });
    Body::from_stream(chunks)
}

impl Download {
    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        while self.left > 0
            && let Some(block) = self.walk.next().await.map_err(report)?
        {
            if let Some(gap) = self.walk.gap {
                return Err(report(format!("lines went away while they were sent: {gap:?}")));
            }
            let chunk = self.render(&block);
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
            // A filter may hide any number of blocks that are at hand.
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
            if self.walk.line(&entry).is_some() && self.walk.filter.matches(&entry) {
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
