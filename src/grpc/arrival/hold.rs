//! What a call holds until it has been handled and its body is dropped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ingest::MessageRoom;
use crate::permits::Permit;

/// A call's permit, and room for its message. Clones share it.
#[derive(Clone)]
pub(in crate::grpc) struct CallHold(Arc<Held>);

struct Held {
    _permit: Permit,
    room: Mutex<Option<MessageRoom>>,
}

impl CallHold {
    pub(super) fn new(permit: Permit) -> Self {
        Self(Arc::new(Held { _permit: permit, room: Mutex::default() }))
    }

    pub(super) fn has_room(&self) -> bool {
        self.lock().is_some()
    }

    pub(super) fn put(&self, room: Option<MessageRoom>) {
        *self.lock() = room;
    }

    fn lock(&self) -> MutexGuard<'_, Option<MessageRoom>> {
        self.0.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
