//! Which workers a stream carries: when its sender cuts it, what they had not sent is missing.

use std::sync::Arc;

use super::resumption::Resumptions;
use crate::ingest::reader::{Accepted, Ids};

/// Workers that are remembered of one stream at most; of more, the newest.
const MAX_CARRIED: usize = 64;

/// Workers, each with the session in which its producer numbers entries, if it does.
pub(in crate::ingest) type Workers = Vec<(Arc<Ids>, Option<Arc<str>>)>;

/// The workers that one stream carries, the newest last.
#[derive(Debug, Default)]
pub(in crate::ingest) struct CarriedWorkers(Workers);

impl CarriedWorkers {
    /// Notes that the stream carries the worker of `entry`, which may be awaited. What is
    /// unfinished has no number and says nothing of it.
    pub(in crate::ingest) fn note(&mut self, entry: &Accepted, resumptions: &Resumptions) {
        let session = entry.producer_seq.as_ref().map(|numbered| &numbered.session);
        let is_same = |(ids, known): &(Arc<Ids>, Option<Arc<str>>)| {
            (Arc::ptr_eq(ids, &entry.ids) || *ids == entry.ids) && known.as_ref() == session
        };
        if entry.is_unfinished || self.0.iter().rev().any(is_same) {
            return;
        }
        if self.0.len() == MAX_CARRIED {
            self.0.remove(0);
        }
        resumptions.note(&entry.ids, session);
        self.0.push((Arc::clone(&entry.ids), session.cloned()));
    }

    /// Takes all of them.
    pub(in crate::ingest) fn take(&mut self) -> Workers {
        std::mem::take(&mut self.0)
    }
}
