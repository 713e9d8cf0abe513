//! What is known to be damaged: places of the files, told once in the log and counted, and the offsets
//! of entries of which nobody can say whose they were.

mod lost;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use super::format::FilePosition;
use super::locks::unpoisoned;

pub(super) use lost::{LostRange, kept_ranges, remove_before};

/// So many places are remembered; damage beyond them is told again whenever it is met.
const MAX_REMEMBERED: usize = 10_000;

/// What is known to be damaged.
#[derive(Debug, Default)]
pub(super) struct Damage {
    /// Oldest first.
    pub(super) lost: Vec<LostRange>,
    places: Mutex<BTreeSet<(String, u64)>>,
}

impl Damage {
    /// Notes that the file is damaged at `position`.
    pub(super) fn note(&self, path: &Path, position: FilePosition, what: &str) {
        let place = (path.display().to_string(), position.0);
        let mut places = unpoisoned(self.places.lock());
        if places.contains(&place) {
            return;
        }
        tracing::error!(file = %place.0, position = position.0, what, "damaged; a gap tells readers");
        if places.len() < MAX_REMEMBERED {
            places.insert(place);
        }
    }

    /// How many places are damaged.
    pub(super) fn count(&self) -> usize {
        unpoisoned(self.places.lock()).len()
    }
}
