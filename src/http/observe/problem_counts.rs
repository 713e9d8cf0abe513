//! How many requests were answered with a problem.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Problems by their code, of which there are a few. Clones share the counts.
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct ProblemCounts(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl ProblemCounts {
    /// Counts one with this code.
    pub(in crate::http) fn add(&self, code: &'static str) {
        *self.lock().entry(code).or_default() += 1;
    }

    /// Each code that there was, with how often.
    pub(super) fn all(&self) -> Vec<(&'static str, u64)> {
        self.lock().iter().map(|(code, count)| (*code, *count)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
