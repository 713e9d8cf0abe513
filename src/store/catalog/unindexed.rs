//! Facts about tasks that stand in segments and that the task index does not know.
//!
//! The last fact of each task counts. It is in here until the index has the segment that has it, and is
//! looked for here before it is looked for there.

use crate::domain::{IdMap, Offset, TaskId};

/// What an allocation and the like add to a row, in bytes; a cautious guess.
const ROW_COST_BYTES: usize = 64;

/// The last fact of each task, with the first offset of the segment that has it.
#[derive(Debug, Clone)]
pub(in crate::store) struct Unindexed<T>(IdMap<TaskId, (T, Offset)>);

impl<T> Default for Unindexed<T> {
    fn default() -> Self {
        Self(IdMap::default())
    }
}

impl<T: Copy> Unindexed<T> {
    /// What is known about `task`.
    pub(in crate::store) fn of(&self, task: &TaskId) -> Option<T> {
        self.0.get(task).map(|(fact, _)| *fact)
    }

    /// The tasks that there is something about.
    pub(in crate::store) fn tasks(&self) -> impl Iterator<Item = &TaskId> {
        self.0.keys()
    }

    /// Notes a fact; returns the bytes it added.
    pub(super) fn insert(&mut self, task: &TaskId, fact: T, segment: Offset) -> usize {
        let known = self.0.insert(task.clone(), (fact, segment));
        if known.is_none() { Self::cost(task) } else { 0 }
    }

    /// Forgets what is known about `task`; returns the bytes it freed.
    pub(super) fn remove(&mut self, task: &TaskId) -> usize {
        if self.0.remove(task).is_some() { Self::cost(task) } else { 0 }
    }

    /// What the footer of the segment that begins with `segment` is to say.
    pub(in crate::store) fn in_segment(&self, segment: Offset) -> impl Iterator<Item = (&str, T)> {
        let of_segment = self.0.iter().filter(move |(_, (_, at))| *at == segment);
        of_segment.map(|(task, (fact, _))| (task.as_str(), *fact))
    }

    /// Whether one stands in a segment that begins before `end`.
    pub(super) fn has_before(&self, end: Offset) -> bool {
        self.0.values().any(|(_, segment)| *segment < end)
    }

    /// Forgets those in segments that begin before `end`; returns the bytes it freed.
    pub(super) fn forget_before(&mut self, end: Offset) -> usize {
        let mut freed = 0;
        self.0.retain(|task, (_, segment)| {
            let is_gone = *segment < end;
            freed += usize::from(is_gone) * Self::cost(task);
            !is_gone
        });
        freed
    }

    /// About what a row takes, in bytes.
    fn cost(task: &TaskId) -> usize {
        ROW_COST_BYTES + size_of::<(TaskId, (T, Offset))>() + task.as_str().len()
    }
}
