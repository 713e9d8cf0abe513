//! How many viewers may be connected at once.

use super::problem::Problem;
use crate::permits::{Permit, Permits};

/// The permits of all viewers.
#[derive(Debug)]
pub(super) struct ViewerPermits(Permits);

/// Allows one viewer to be connected, until it is dropped.
#[derive(Debug)]
pub(super) struct ViewerPermit(#[expect(dead_code, reason = "held for its drop")] Permit);

impl ViewerPermits {
    pub(super) fn new(limit: usize) -> Self {
        Self(Permits::new(limit))
    }

    pub(super) fn in_use(&self) -> usize {
        self.0.in_use()
    }

    /// A permit, or the refusal of a viewer beyond the limit.
    pub(super) fn acquire(&self) -> Result<ViewerPermit, Problem> {
        let permit = self.0.try_acquire().map(ViewerPermit);
        permit.ok_or_else(|| Problem::too_many_viewers(self.0.limit()))
    }
}
