//! How often something took how long, or was how large, since the start of the process.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Buckets with a bound; one more is for what is above all of them.
const BOUNDS: usize = 15;

type Bounds = [u64; BOUNDS];

/// From 100 µs to 10 s, in nanoseconds.
const DURATION_BOUNDS: Bounds = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
];

/// The powers of 4 from 1 to 256 Mi.
const SIZE_BOUNDS: Bounds = {
    let mut bounds = [1; BOUNDS];
    let mut at = 1;
    while at < BOUNDS {
        bounds[at] = bounds[at - 1] * 4;
        at += 1;
    }
    bounds
};

/// Counts durations. Any thread may add and read; adding takes neither lock nor memory.
#[derive(Debug, Default)]
pub struct DurationHistogram(Buckets);

/// Counts sizes, in bytes or in pieces. Any thread may add and read; adding takes neither lock nor memory.
#[derive(Debug, Default)]
pub struct SizeHistogram(Buckets);

#[derive(Debug, Default)]
struct Buckets {
    counts: [AtomicU64; BOUNDS + 1],
    sum: AtomicU64,
}

/// What a histogram had counted at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistogramSnapshot {
    bounds: &'static Bounds,
    counts: [u64; BOUNDS + 1],
    sum: u64,
}

impl DurationHistogram {
    /// Counts one that took so long.
    pub fn add(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.0.add(&DURATION_BOUNDS, nanos);
    }

    /// The counts now, in nanoseconds.
    pub fn snapshot(&self) -> HistogramSnapshot {
        self.0.snapshot(&DURATION_BOUNDS)
    }
}

impl SizeHistogram {
    /// Counts one of this size.
    pub fn add(&self, size: u64) {
        self.0.add(&SIZE_BOUNDS, size);
    }

    /// The counts now.
    pub fn snapshot(&self) -> HistogramSnapshot {
        self.0.snapshot(&SIZE_BOUNDS)
    }
}

impl Buckets {
    fn add(&self, bounds: &Bounds, value: u64) {
        let bucket = bounds.partition_point(|bound| *bound < value);
        self.counts[bucket].fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    fn snapshot(&self, bounds: &'static Bounds) -> HistogramSnapshot {
        let counts = std::array::from_fn(|bucket| self.counts[bucket].load(Relaxed));
        HistogramSnapshot { bounds, counts, sum: self.sum.load(Relaxed) }
    }
}

impl HistogramSnapshot {
    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All of them together, in the histogram's unit.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// Each bucket's upper bound, `None` for that of the last, with how many are in this bucket alone.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let bounds = self.bounds.iter().copied().map(Some).chain([None]);
        bounds.zip(self.counts)
    }
}

impl Default for HistogramSnapshot {
    fn default() -> Self {
        Self { bounds: &SIZE_BOUNDS, counts: [0; BOUNDS + 1], sum: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(snapshot: HistogramSnapshot) -> Vec<(Option<u64>, u64)> {
        snapshot.buckets().filter(|(_, count)| *count > 0).collect()
    }

    #[test]
    fn a_value_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let sizes = SizeHistogram::default();
        [0, 1, 2, 4, 5, 1 << 28, (1 << 28) + 1].iter().for_each(|size| sizes.add(*size));
        let expected = [(Some(1), 2), (Some(4), 2), (Some(16), 1), (Some(1 << 28), 1), (None, 1)];
        assert_eq!(counted(sizes.snapshot()), expected);
        assert_eq!(sizes.snapshot().count(), 7);
        assert_eq!(sizes.snapshot().sum(), 12 + (1 << 29) + 1);
    }

    #[test]
    fn durations_are_counted_in_nanoseconds() {
        let times = DurationHistogram::default();
        times.add(Duration::from_micros(100));
        times.add(Duration::from_secs(11));
        assert_eq!(counted(times.snapshot()), [(Some(100_000), 1), (None, 1)]);
        assert_eq!(times.snapshot().sum(), 11_000_100_000);
    }
}
