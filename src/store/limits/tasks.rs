//! How many tasks may be deleted for their age: the rule for segments, for tasks.

use std::time::{Duration, Instant};

use super::age::AgeLimit;
use super::wall_clock::WallClock;
use crate::store::format::Millis;

/// Which tasks are too old by the clock on the wall, and how many may go for it now.
#[derive(Debug)]
pub struct TaskAgeLimit {
    age: Duration,
    clock: WallClock,
    limit: AgeLimit,
}

impl TaskAgeLimit {
    /// The limit for what is deleted when it is older than `age`; `newest_ms` is when the newest
    /// entry was committed, where there is one.
    pub fn new(age: Duration, clock: WallClock, newest_ms: Option<u64>) -> Self {
        let newest = newest_ms.map_or_else(|| clock.now(), Millis);
        Self { age, clock, limit: AgeLimit::new(age, Instant::now(), newest) }
    }

    /// Looks at the clocks and begins a pass over so many tasks where it is time.
    pub fn look(&mut self, tasks: usize) {
        self.limit.look(Instant::now(), self.clock.now(), tasks);
    }

    /// Whether a task whose last entry was committed then is too old.
    pub fn is_too_old(&self, last_ms: u64) -> bool {
        Millis(last_ms).age_at(self.clock.now()) > self.age
    }

    /// Whether this pass may delete one more.
    pub fn allows(&self) -> bool {
        self.limit.allows()
    }

    /// Notes that one is deleted.
    pub fn note(&mut self) {
        self.limit.note();
    }
}
