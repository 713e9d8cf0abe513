//! How many streams may be open at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::problem::Problem;

/// A bounded number of viewer_permits.
#[derive(Debug)]
pub(super) struct ViewerPermits {
    taken: Arc<AtomicUsize>,
    limit: usize,
}

/// One permit; free again when dropped.
#[derive(Debug)]
pub(super) struct ViewerPermit(Arc<AtomicUsize>);

impl ViewerPermits {
    pub(super) fn new(limit: usize) -> Self {
        Self { taken: Arc::default(), limit }
    }

    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// A permit, if one is free.
    pub(super) fn take(&self) -> Result<ViewerPermit, Problem> {
        let one_more = |taken| (taken < self.limit).then_some(taken + 1);
        match self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Ok(ViewerPermit(Arc::clone(&self.taken))),
            Err(_) => Err(Problem::too_many_viewers(self.limit)),
        }
    }
}

impl Drop for ViewerPermit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
