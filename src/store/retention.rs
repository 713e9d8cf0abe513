//! Which segments are to go.

use std::time::Duration;

use super::catalog::Catalog;
use super::format::Millis;
use super::options::{Durability, StoreOptions};

/// What is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retention {
    age: Option<Duration>,
    bytes: Option<u64>,
    /// Without files, tasks are in memory alone: the oldest go when they take more.
    memory_bytes: Option<usize>,
}

impl Retention {
    pub(super) fn new(options: &StoreOptions) -> Self {
        let is_in_memory = options.durability == Durability::Memory;
        Self {
            age: options.retention_age,
            bytes: options.retention_bytes,
            memory_bytes: is_in_memory.then_some(options.catalog_bytes),
        }
    }

    /// Why the oldest segment is to go, if it is.
    pub(super) fn reason_to_drop(&self, catalog: &Catalog) -> Option<&'static str> {
        let has_entries = catalog.tail > catalog.log_start_offset();
        if self.memory_bytes.is_some_and(|kept| catalog.bytes > kept) && has_entries {
            return Some("memory");
        }
        let oldest = catalog.segments.front()?.sealed.get()?;
        let age = oldest.last_time.age_at(Millis::now());
        if self.age.is_some_and(|kept| age > kept) {
            return Some("retention_age");
        }
        let is_too_much = self.bytes.is_some_and(|kept| catalog.disk_bytes() > kept);
        is_too_much.then_some("retention_bytes")
    }
}
