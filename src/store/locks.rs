//! Locks that go on after a holder panicked.

use std::sync::{LockResult, PoisonError};

/// A lock's content, also after a holder panicked: no invariant spans two critical sections.
pub(super) fn unpoisoned<T>(locked: LockResult<T>) -> T {
    locked.unwrap_or_else(PoisonError::into_inner)
}
