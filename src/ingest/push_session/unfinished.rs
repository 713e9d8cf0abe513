//! The unfinished lines of one stream: prompts, dots, progress. Shown to those who watch, not kept.

use std::sync::Arc;

use bytes::Bytes;

use crate::domain::Kind;
use crate::encode::Fields;
use crate::hub::{Hub, ShownUnfinished, UnfinishedLine};
use crate::ingest::reader::{Accepted, Ids, IncomingEntry};

/// Unfinished lines of one stream at most; of more, the newest.
const MAX_LINES: usize = 16;

/// Those of one stream: a worker has one for each of its sources.
#[derive(Debug, Default)]
pub(super) struct StreamUnfinished(Vec<StreamLine>);

#[derive(Debug)]
struct StreamLine {
    ids: Arc<Ids>,
    source: String,
    body: Bytes,
    /// Not before what was sent before it is kept, or it would be taken for the line after it.
    shown: Option<ShownUnfinished>,
}

impl StreamUnfinished {
    /// Takes what is unfinished, and gives everything else back. A line ends what was shown of it.
    pub(super) fn take(&mut self, incoming: IncomingEntry) -> Option<IncomingEntry> {
        let Ok(accepted) = &incoming.entry else { return Some(incoming) };
        if accepted.is_unfinished {
            self.replace(accepted);
            return None;
        }
        if self.0.iter().any(|known| known.ids == accepted.ids)
            && let Some(body) = body(accepted)
        {
            self.finish(&accepted.ids, &source_of(body));
        }
        Some(incoming)
    }

    fn finish(&mut self, ids: &Ids, source: &str) {
        self.0.retain(|known| *known.ids != *ids || known.source != source);
    }

    fn replace(&mut self, accepted: &Accepted) {
        let Some(body) = body(accepted) else { return };
        let (ids, source) = (Arc::clone(&accepted.ids), source_of(body));
        self.finish(&ids, &source);
        if self.0.len() == MAX_LINES {
            self.0.remove(0);
        }
        self.0.push(StreamLine { ids, source, body: Bytes::copy_from_slice(body), shown: None });
    }

    /// Shows what is not shown yet; to be called when everything before it is kept.
    pub(super) fn show(&mut self, hub: &Hub) {
        for line in self.0.iter_mut().filter(|line| line.shown.is_none()) {
            let Ids { task, worker } = Ids::clone(&line.ids);
            let (source, body) = (line.source.clone(), line.body.clone());
            let shown = UnfinishedLine { task, worker, source, body };
            line.shown = Some(hub.show_unfinished(shown));
        }
    }
}

/// The body of the entry's first record, where that is a line.
fn body(accepted: &Accepted) -> Option<&[u8]> {
    let (kind, body) = accepted.records.iter().next()?;
    (kind == Kind::Log).then_some(body)
}

fn source_of(body: &[u8]) -> String {
    Fields::read_body(body, |fields| fields.source.clone().into_owned())
}
