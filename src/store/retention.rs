//! Which segments are to go.

use std::time::{Duration, Instant};

use super::catalog::Catalog;
use super::format::Millis;
use super::limits::AgeLimit;
use super::options::{Durability, StoreOptions};

/// The reason for which old segments go.
const AGE: &str = "retention_age";

/// What is kept.
#[derive(Debug)]
pub(super) struct Retention {
    /// The greatest age, and how much may go for it at once.
    age: Option<(Duration, AgeLimit)>,
    bytes: Option<u64>,
    /// Without files, tasks are in memory alone: the oldest go when they take more.
    memory_bytes: Option<usize>,
}

impl Retention {
    /// What `options` ask for; `newest` is when the newest entry was committed.
    pub(super) fn new(options: &StoreOptions, newest: Millis) -> Self {
        let is_in_memory = options.durability == Durability::Memory;
        let limit = |age| (age, AgeLimit::new(age, Instant::now(), newest));
        Self {
            age: options.retention_age.map(limit),
            bytes: options.retention_bytes,
            memory_bytes: is_in_memory.then_some(options.catalog_bytes),
        }
    }

    /// Looks at the clock, before it is asked what is to go of so many segments.
    pub(super) fn look(&mut self, now: Millis, segments: usize) {
        if let Some((_, limit)) = &mut self.age {
            limit.look(Instant::now(), now, segments);
        }
    }

    /// Why the oldest segment is to go, if it is.
    pub(super) fn reason_to_drop(&self, catalog: &Catalog, now: Millis) -> Option<&'static str> {
        let has_entries = catalog.tail > catalog.log_start_offset();
        if self.memory_bytes.is_some_and(|kept| catalog.bytes > kept) && has_entries {
            return Some("memory");
        }
        let oldest = catalog.segments.front()?.sealed.get()?;
        let age = oldest.last_time.age_at(now);
        if self.age.as_ref().is_some_and(|(kept, limit)| age > *kept && limit.allows()) {
            return Some(AGE);
        }
        let is_too_much = self.bytes.is_some_and(|kept| catalog.disk_bytes() > kept);
        is_too_much.then_some("retention_bytes")
    }

    /// Notes that a segment went for this reason.
    pub(super) fn note_dropped(&mut self, reason: &'static str) {
        if let Some((_, limit)) = self.age.as_mut().filter(|_| reason == AGE) {
            limit.note();
        }
    }
}
