//! The indexes of sealed segments that were read last.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use crate::domain::{Offset, TaskId};
use crate::store::format::ChunkRef;
use crate::store::locks::unpoisoned;

/// Which index.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct IndexKey {
    /// The segment's first offset.
    pub(super) segment: Offset,
    /// Whose index; `None` for the one of the whole segment in store order.
    pub(super) task: Option<TaskId>,
}

/// What a cached index costs beside its rows, in bytes.
const CACHED_COST_BYTES: usize = 256;

/// Indexes of sealed segments, the least recently used dropped beyond a byte budget.
#[derive(Debug)]
pub(super) struct IndexCache {
    budget_bytes: usize,
    inner: Mutex<CacheState>,
}

#[derive(Debug, Default)]
struct CacheState {
    bytes: usize,
    uses: u64,
    by_key: HashMap<IndexKey, (u64, Arc<[ChunkRef]>)>,
    by_use: BTreeMap<u64, IndexKey>,
}

impl IndexCache {
    pub(super) fn new(budget_bytes: usize) -> Self {
        Self { budget_bytes, inner: Mutex::default() }
    }

    /// The cached index of `key`.
    pub(super) fn get(&self, key: &IndexKey) -> Option<Arc<[ChunkRef]>> {
        let mut inner = unpoisoned(self.inner.lock());
        inner.uses += 1;
        let now = inner.uses;
        let (used, index) = inner.by_key.get_mut(key)?;
        let before = std::mem::replace(used, now);
        let index = index.clone();
        inner.by_use.remove(&before);
        inner.by_use.insert(now, key.clone());
        Some(index)
    }

    /// Keeps `index`, unless it alone is beyond the budget.
    pub(super) fn put(&self, key: IndexKey, index: Arc<[ChunkRef]>) {
        let bytes = cost(&index);
        if bytes > self.budget_bytes {
            return;
        }
        let mut inner = unpoisoned(self.inner.lock());
        inner.uses += 1;
        let now = inner.uses;
        if let Some((used, replaced)) = inner.by_key.insert(key.clone(), (now, index)) {
            inner.by_use.remove(&used);
            inner.bytes -= cost(&replaced);
        }
        inner.by_use.insert(now, key);
        inner.bytes += bytes;
        while inner.bytes > self.budget_bytes && inner.drop_oldest() {}
    }
}

impl CacheState {
    fn drop_oldest(&mut self) -> bool {
        let Some((_, key)) = self.by_use.pop_first() else { return false };
        if let Some((_, index)) = self.by_key.remove(&key) {
            self.bytes -= cost(&index);
        }
        true
    }
}

fn cost(index: &[ChunkRef]) -> usize {
    CACHED_COST_BYTES + size_of_val(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(segment: u64) -> IndexKey {
        IndexKey { segment: Offset(segment), task: None }
    }

    #[test]
    fn the_cache_keeps_what_was_used_last_within_its_budget() {
        let one: Arc<[ChunkRef]> = [ChunkRef::default()].into();
        let cache = IndexCache::new(2 * cost(&one));
        cache.put(key(1), one.clone());
        cache.put(key(2), one.clone());
        assert!(cache.get(&key(1)).is_some());
        cache.put(key(3), one);
        assert!(cache.get(&key(2)).is_none(), "the least recently used one stayed");
        assert!(cache.get(&key(1)).is_some() && cache.get(&key(3)).is_some());
    }

    #[test]
    fn an_index_beyond_the_whole_budget_is_not_kept() {
        let cache = IndexCache::new(10);
        cache.put(key(1), [ChunkRef::default()].into());
        assert!(cache.get(&key(1)).is_none());
    }
}
