//! What a call holds until it has been handled and its body is dropped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ingest::MessageBudget;
use crate::permits::Permit;

/// A call's permit, and memory for its message. Clones share it.
#[derive(Clone)]
pub(in crate::grpc) struct CallHold(Arc<Held>);

struct Held {
    _permit: Permit,
    budget: Mutex<Option<MessageBudget>>,
}

impl CallHold {
    pub(super) fn new(permit: Permit) -> Self {
        Self(Arc::new(Held { _permit: permit, budget: Mutex::default() }))
    }

    pub(super) fn has_budget(&self) -> bool {
        self.lock().is_some()
    }

    pub(super) fn put(&self, budget: Option<MessageBudget>) {
        *self.lock() = budget;
    }

    fn lock(&self) -> MutexGuard<'_, Option<MessageBudget>> {
        self.0.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
