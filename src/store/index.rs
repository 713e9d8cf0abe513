//! Indexes: where chunks stand in a segment; and the cache of those of sealed segments.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::unpoisoned;
use crate::domain::TaskId;

/// Where one chunk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkRef {
    /// Position in the segment file.
    pub(super) position: u64,
    /// Offset of the first entry.
    pub(super) base: u64,
    /// Line number of the first line.
    pub(super) base_line: u64,
    /// Bytes of the whole chunk in the file.
    pub(super) bytes: u32,
    /// How many entries it has.
    pub(super) count: u32,
}

impl ChunkRef {
    /// The offset after its last entry.
    pub(super) fn end(&self) -> u64 {
        self.base + u64::from(self.count)
    }
}

/// Where an index stands in a footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct IndexAt {
    pub(super) position: u64,
    pub(super) bytes: u32,
    pub(super) crc: u32,
}

/// One row of an encoded index: differences to the row before.
type Row = (u64, u64, i64, u32, u32);

/// Encodes chunk chunk_refs, which must be in the order of the file.
pub(super) fn encode_index(refs: &[ChunkRef]) -> Vec<u8> {
    let mut before = ChunkRef { position: 0, base: 0, base_line: 0, bytes: 0, count: 0 };
    let mut out = Vec::with_capacity(refs.len() * 8);
    for chunk in refs {
        let row: Row = (
            chunk.position.wrapping_sub(before.position),
            chunk.base.wrapping_sub(before.base),
            chunk.base_line.wrapping_sub(before.base_line) as i64,
            chunk.bytes,
            chunk.count,
        );
        before = *chunk;
        out = postcard::to_extend(&row, out).expect("numbers always encode into memory");
    }
    out
}

/// Decodes what [`encode_index`] made; `None` where it is malformed.
pub(super) fn decode_index(mut encoded: &[u8]) -> Option<Vec<ChunkRef>> {
    let mut refs: Vec<ChunkRef> = Vec::new();
    let mut before = ChunkRef { position: 0, base: 0, base_line: 0, bytes: 0, count: 0 };
    while !encoded.is_empty() {
        let (row, rest) = postcard::take_from_bytes::<Row>(encoded).ok()?;
        before = ChunkRef {
            position: before.position.wrapping_add(row.0),
            base: before.base.wrapping_add(row.1),
            base_line: before.base_line.wrapping_add(row.2 as u64),
            bytes: row.3,
            count: row.4,
        };
        refs.push(before);
        encoded = rest;
    }
    Some(refs)
}

/// A segment, by its base, and whose index: a task's, or the sparse one of the whole segment.
pub(super) type IndexKey = (u64, Option<TaskId>);

/// What a cached index costs beside its rows, in bytes.
const CACHED_COST_BYTES: usize = 256;

/// Indexes of sealed segments, the least recently used dropped beyond a byte budget.
#[derive(Debug)]
pub(super) struct IndexCache {
    budget_bytes: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    bytes: usize,
    clock: u64,
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
        inner.clock += 1;
        let now = inner.clock;
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
        inner.clock += 1;
        let now = inner.clock;
        if let Some((used, replaced)) = inner.by_key.insert(key.clone(), (now, index)) {
            inner.by_use.remove(&used);
            inner.bytes -= cost(&replaced);
        }
        inner.by_use.insert(now, key);
        inner.bytes += bytes;
        while inner.bytes > self.budget_bytes && inner.drop_oldest() {}
    }
}

impl Inner {
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

    fn chunk(n: u64) -> ChunkRef {
        ChunkRef { position: n * 100, base: n * 7, base_line: 1000 - n, bytes: 99, count: 5 }
    }

    #[test]
    fn an_index_survives_encoding_and_a_cut_one_is_refused() {
        let refs: Vec<_> = (0..500).map(chunk).collect();
        let encoded = encode_index(&refs);
        assert_eq!(decode_index(&encoded), Some(refs));
        assert_eq!(decode_index(&encoded[..encoded.len() - 1]), None);
    }

    #[test]
    fn the_cache_keeps_what_was_used_last_within_its_budget() {
        let one: Arc<[ChunkRef]> = [chunk(1)].into();
        let cache = IndexCache::new(2 * cost(&one));
        cache.put((1, None), one.clone());
        cache.put((2, None), one.clone());
        assert!(cache.get(&(1, None)).is_some());
        cache.put((3, None), one);
        assert!(cache.get(&(2, None)).is_none(), "the least recently used one stayed");
        assert!(cache.get(&(1, None)).is_some() && cache.get(&(3, None)).is_some());
    }

    #[test]
    fn an_index_beyond_the_whole_budget_is_not_kept() {
        let cache = IndexCache::new(10);
        cache.put((1, None), [chunk(1)].into());
        assert!(cache.get(&(1, None)).is_none());
    }
}
