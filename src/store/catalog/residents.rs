//! The tasks that are resident, by id and by their last entry.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::task::Task;
use crate::domain::{IdMap, Offset, TaskId};

/// The tasks that are resident, by id and by their last entry.
#[derive(Debug, Default)]
pub(in crate::store) struct ResidentTasks {
    by_id: IdMap<TaskId, Task>,
    /// So that a page of tasks looks only at its own.
    by_last: BTreeMap<Offset, TaskId>,
}

impl ResidentTasks {
    pub(in crate::store) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(in crate::store) fn contains(&self, id: &TaskId) -> bool {
        self.by_id.contains_key(id)
    }

    pub(in crate::store) fn get(&self, id: &TaskId) -> Option<&Task> {
        self.by_id.get(id)
    }

    /// In any order.
    pub(in crate::store) fn iter(&self) -> impl Iterator<Item = (&TaskId, &Task)> {
        self.by_id.iter()
    }

    /// Those whose last entry comes before `before`, the newest first.
    pub(in crate::store) fn newest_before(
        &self,
        before: Offset,
    ) -> impl Iterator<Item = (Offset, &TaskId)> {
        self.by_last.range(..before).rev().map(|(last, id)| (*last, id))
    }

    /// Those whose last entry comes after `after`, the oldest first.
    pub(in crate::store) fn oldest_after(
        &self,
        after: Offset,
    ) -> impl Iterator<Item = (Offset, &TaskId)> {
        let range = (Bound::Excluded(after), Bound::Unbounded);
        self.by_last.range(range).map(|(last, id)| (*last, id))
    }

    /// Changes a task in a way that leaves its last entry as it is.
    pub(super) fn get_mut(&mut self, id: &TaskId) -> Option<&mut Task> {
        self.by_id.get_mut(id)
    }

    pub(super) fn insert(&mut self, id: &TaskId, task: Task) {
        if let Some(last) = task.last() {
            self.by_last.insert(last, id.clone());
        }
        self.by_id.insert(id.clone(), task);
    }

    /// Gives a task another last entry: `extend` adds it.
    pub(super) fn extend<T>(
        &mut self,
        id: &TaskId,
        extend: impl FnOnce(&mut Task) -> T,
    ) -> Option<T> {
        let task = self.by_id.get_mut(id)?;
        let before = task.last();
        let extended = extend(task);
        if let Some(last) = task.last() {
            let key = before.and_then(|before| self.by_last.remove(&before));
            self.by_last.insert(last, key.unwrap_or_else(|| id.clone()));
        }
        Some(extended)
    }

    pub(super) fn remove(&mut self, id: &TaskId) -> Option<Task> {
        let removed = self.by_id.remove(id)?;
        removed.last().and_then(|last| self.by_last.remove(&last));
        Some(removed)
    }

    /// Keeps those that `keep` says, which may take of a task all but its last entry.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&TaskId, &mut Task) -> bool) {
        let Self { by_id, by_last } = self;
        by_id.retain(|id, task| {
            let last = task.last();
            let is_kept = keep(id, task);
            if !is_kept && let Some(last) = last {
                by_last.remove(&last);
            }
            is_kept
        });
        by_id.shrink_to(2 * by_id.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_in_the_order_of_their_last_entries_whatever_became_of_them() {
        let mut tasks = ResidentTasks::default();
        let id = |name: &str| TaskId::new(name).unwrap();
        for (name, last) in [("a", 3), ("b", 1), ("c", 7)] {
            tasks.insert(&id(name), Task::ending_at(Offset(last)));
        }
        let newest = |tasks: &ResidentTasks, before| -> Vec<String> {
            tasks.newest_before(Offset(before)).map(|(_, id)| id.as_str().into()).collect()
        };
        assert_eq!(newest(&tasks, 7), ["a", "b"]);
        tasks.extend(&id("b"), |task| *task = Task::ending_at(Offset(9))).unwrap();
        assert_eq!(newest(&tasks, 100), ["b", "c", "a"]);
        assert_eq!(tasks.remove(&id("c")).and_then(|task| task.last()), Some(Offset(7)));
        let oldest: Vec<_> = tasks.oldest_after(Offset(2)).map(|(last, _)| last.0).collect();
        assert_eq!(oldest, [3, 9]);
        tasks.retain(|name, _| *name != id("a"));
        assert_eq!((newest(&tasks, 100), tasks.len()), (vec!["b".to_owned()], 1));
    }
}
