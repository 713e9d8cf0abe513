//! A set of numbers, held as ranges.

use std::collections::BTreeMap;

/// Numbers; takes memory by stretches, not by numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    /// First number of a stretch to the one after its last.
    stretches: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Adds `from..end`; how many of them were there already.
    pub(super) fn insert(&mut self, from: u64, end: u64) -> u64 {
        if from >= end {
            return 0;
        }
        let (mut start, mut stop, mut known) = (from, end, 0);
        while let Some((first, last)) = self.touching(from, end) {
            self.stretches.remove(&first);
            known += last.min(end).saturating_sub(first.max(from));
            start = start.min(first);
            stop = stop.max(last);
        }
        self.stretches.insert(start, stop);
        known
    }

    /// A stretch that overlaps or adjoins `from..end`.
    fn touching(&self, from: u64, end: u64) -> Option<(u64, u64)> {
        let (first, last) = self.stretches.range(..=end).next_back()?;
        (*last >= from).then_some((*first, *last))
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.stretches.range(..=number).next_back().is_some_and(|(_, end)| *end > number)
    }

    /// The stretches, each from its first number to the one after its last.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.stretches.iter().map(|(from, end)| (*from, *end))
    }

    pub(super) fn len(&self) -> u64 {
        self.iter().map(|(from, end)| end - from).sum()
    }

    /// The numbers that `other` has not.
    pub(super) fn without(&self, other: &Self) -> Vec<(u64, u64)> {
        let mut left = Vec::new();
        for (mut from, end) in self.iter() {
            while from < end {
                let before = other.stretches.range(..=from).next_back();
                if let Some((_, known_end)) = before.filter(|(_, known_end)| **known_end > from) {
                    from = *known_end;
                    continue;
                }
                let next = other.stretches.range(from..).next().map_or(end, |(next, _)| *next);
                left.push((from, next.min(end)));
                from = next;
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(
            one in prop::collection::vec((0..60_u64, 0..9_u64), 0..20),
            other in prop::collection::vec((0..60_u64, 0..9_u64), 0..20),
        ) {
            let build = |parts: &[(u64, u64)]| {
                let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
                for (from, count) in parts {
                    let known = (*from..from + count).filter(|number| !set.insert(*number)).count();
                    assert_eq!(ranges.insert(*from, from + count), known as u64);
                }
                (ranges, set)
            };
            let ((one, one_set), (other, other_set)) = (build(&one), build(&other));
            prop_assert_eq!(one.len(), one_set.len() as u64);
            prop_assert!((0..80).all(|number| one.contains(number) == one_set.contains(&number)));
            let left: Vec<u64> = one.without(&other).into_iter().flat_map(|(f, e)| f..e).collect();
            prop_assert_eq!(left, one_set.difference(&other_set).copied().collect::<Vec<_>>());
            let ends: Vec<_> = one.iter().collect();
            prop_assert!(ends.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }
}
