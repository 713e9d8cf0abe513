//! Maps with ids as keys; every commit looks up several.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use foldhash::SharedSeed;
use foldhash::fast::{FoldHasher, SeedableRandomState};

/// A map whose keys are ids or contain ids.
pub type IdMap<K, V> = HashMap<K, V, IdHash>;

static PROCESS_SEED: LazyLock<SharedSeed> = LazyLock::new(|| SharedSeed::from_u64(random()));

/// Hashes ids several times faster than the standard library.
///
/// Ids come from the network, so both seeds are random: one of the process, one of each map.
/// Nothing that a client sees depends on a hash.
#[derive(Debug, Clone)]
pub struct IdHash(SeedableRandomState);

impl Default for IdHash {
    fn default() -> Self {
        Self(SeedableRandomState::with_seed(random(), &PROCESS_SEED))
    }
}

impl BuildHasher for IdHash {
    type Hasher = FoldHasher<'static>;

    fn build_hasher(&self) -> Self::Hasher {
        self.0.build_hasher()
    }
}

/// The standard library's keys come from the operating system and differ each time.
fn random() -> u64 {
    RandomState::new().hash_one(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TaskId;

    #[test]
    fn an_id_and_its_text_hash_alike_in_one_map_and_otherwise_in_another() {
        let id = TaskId::new("build-1").unwrap();
        let (one, other) = (IdHash::default(), IdHash::default());
        assert_eq!(one.hash_one(&id), one.hash_one("build-1"));
        assert_ne!(one.hash_one(&id), other.hash_one(&id));
    }
}
