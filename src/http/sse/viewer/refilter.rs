//! What may be asked of a viewer that is open.

use super::{LargeEntry, Viewer};
use crate::store::ReadError;
use crate::subscribe::{Filter, LineFilter};

impl Viewer {
    /// Whether the task is complete and the viewer has all of it.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(in crate::http) async fn has_nothing_more(&self) -> Result<bool, ReadError> {
        Ok(self.session.finished().await?.is_some())
    }

    /// From the next entry on, yields those that pass `filter`.
    pub(in crate::http) fn set_filter(&mut self, filter: Filter) {
        if let Some(unsent) = self.unsent.take() {
            self.session.go_back_to(unsent.from);
        }
        (self.unknown_line, self.large) = (None, LargeEntry::None);
        self.filter = (!filter.is_empty()).then(|| LineFilter::new(filter));
    }
}
