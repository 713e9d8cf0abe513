//! The unfinished lines of one stream: prompts, dots, progress. Shown to those who watch, not kept.

use crate::domain::Kind;
use crate::encode::Fields;
use crate::hub::{Hub, ShownUnfinished, UnfinishedLine};
use crate::ingest::reader::{Accepted, IncomingEntry};

/// Unfinished lines of one stream at most; of more, the newest.
const MAX_LINES: usize = 16;

/// Those of one stream: a worker has one for each of its sources.
#[derive(Debug, Default)]
pub(super) struct StreamUnfinished(Vec<StreamLine>);

#[derive(Debug)]
struct StreamLine {
    line: UnfinishedLine,
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
        if !self.0.is_empty()
            && let Some(finished) = line_of(accepted)
        {
            self.0.retain(|known| !known.line.is_replaced_by(&finished));
        }
        Some(incoming)
    }

    fn replace(&mut self, accepted: &Accepted) {
        let Some(line) = line_of(accepted) else { return };
        self.0.retain(|known| !known.line.is_replaced_by(&line));
        if self.0.len() == MAX_LINES {
            self.0.remove(0);
        }
        self.0.push(StreamLine { line, shown: None });
    }

    /// Shows what is not shown yet; to be called when everything before it is kept.
    pub(super) fn show(&mut self, hub: &Hub) {
        for line in self.0.iter_mut().filter(|line| line.shown.is_none()) {
            line.shown = Some(hub.show_unfinished(line.line.clone()));
        }
    }
}

fn line_of(accepted: &Accepted) -> Option<UnfinishedLine> {
    let (kind, body) = accepted.records.iter().next()?;
    let source = Fields::read_body(body, |fields| fields.source.clone().into_owned());
    let (task, worker) = (accepted.ids.task.clone(), accepted.ids.worker.clone());
    let body = body.to_vec().into();
    (kind == Kind::Log).then_some(UnfinishedLine { task, worker, source, body })
}
