//! What workers have written without a line feed.

use std::sync::Arc;

use bytes::Bytes;

use super::{Viewer, frames};
use crate::domain::{Entry, Kind};
use crate::hub::UnfinishedLine;

impl Viewer {
    /// The frames of those lines that the viewer may see and asked for.
    pub(super) fn on_unfinished(&self, lines: &[Arc<UnfinishedLine>]) -> Option<Bytes> {
        let mut chunk = Vec::new();
        let seen = lines.iter().filter(|line| self.access.allows(&line.task));
        for line in seen.filter(|line| self.shows(line)) {
            frames::write_unfinished(&mut chunk, &line.body);
        }
        (!chunk.is_empty()).then(|| chunk.into())
    }

    /// Whether the line would pass the filter if it ended here.
    fn shows(&self, line: &UnfinishedLine) -> bool {
        let offset = self.session.cursor();
        let (worker, body) = (line.worker.as_str(), &line.body[..]);
        let entry = Entry { offset, line: None, kind: Kind::Log, worker, session: None, body };
        matches!(self.passes(&entry), Ok(true))
    }
}
