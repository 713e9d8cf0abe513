//! Unfinished lines: what workers have written without a line feed so far. Not in the log.
//!
//! There is one for each worker and source, the newest. Each has a version; a reader remembers the last
//! one that it got, so that one which comes late gets what is there and a slow one only the
//! newest. Whoever shows a line holds it: it goes with the stream that it came from.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::domain::{IdMap, Scope, TaskId, WorkerId};

/// The largest body that is shown, in bytes: some screens of text.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// Lines of one task that are shown at most; of more, the newest.
const MAX_TASK_LINES: usize = 64;

/// What all lines may take, in bytes. Further ones are not shown.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// What a reader gets at once at most, in bytes, and one line more.
const READ_BYTES: usize = 64 * 1024;

/// What a line takes beside its body, in bytes; about.
const LINE_OVERHEAD_BYTES: usize = 512;

/// What a worker has written to a source since its last line feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedLine {
    /// The task.
    pub task: TaskId,
    /// The worker.
    pub worker: WorkerId,
    /// Such as `stdout`.
    pub source: String,
    /// Its JSON members, with the closing brace and without the opening one, as a record has them.
    pub body: Bytes,
}

impl UnfinishedLine {
    /// Whether `other` takes its place: it is of the same worker and source.
    fn is_replaced_by(&self, other: &Self) -> bool {
        let Self { task, worker, source, .. } = self;
        *task == other.task && *worker == other.worker && *source == other.source
    }

    fn bytes(&self) -> usize {
        self.body.len() + LINE_OVERHEAD_BYTES
    }
}

/// What a reader gets.
#[derive(Debug, Clone)]
pub struct UnfinishedSince {
    /// In the order in which they were shown.
    pub lines: Vec<Arc<UnfinishedLine>>,
    /// What to ask for next.
    pub version: u64,
}

/// Keeps a line shown until it is dropped.
#[derive(Debug)]
pub struct ShownUnfinished {
    all: Arc<UnfinishedLines>,
    version: u64,
}

impl Drop for ShownUnfinished {
    fn drop(&mut self) {
        self.all.lock().remove(self.version);
    }
}

/// All that are shown.
#[derive(Debug, Default)]
pub(super) struct UnfinishedLines {
    lines: Mutex<ShownLines>,
    /// The version given last, so that most readers need no lock.
    newest: AtomicU64,
}

#[derive(Debug, Default)]
struct ShownLines {
    by_version: BTreeMap<u64, Arc<UnfinishedLine>>,
    /// The versions of each task's lines, in order.
    of_task: IdMap<TaskId, Vec<u64>>,
    bytes: usize,
}

impl UnfinishedLines {
    fn lock(&self) -> MutexGuard<'_, ShownLines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn show(self: &Arc<Self>, line: UnfinishedLine) -> ShownUnfinished {
        let mut lines = self.lock();
        let version = self.newest.load(Ordering::Relaxed) + 1;
        lines.insert(version, line);
        self.newest.store(version, Ordering::Release);
        ShownUnfinished { all: Arc::clone(self), version }
    }

    pub(super) fn since(&self, scope: &Scope, version: u64) -> UnfinishedSince {
        let newest = self.newest.load(Ordering::Acquire);
        if newest == version {
            return UnfinishedSince { lines: Vec::new(), version };
        }
        self.lock().since(scope, version, newest)
    }

    pub(super) fn forget(&self, tasks: &[TaskId]) {
        let mut lines = self.lock();
        for task in tasks {
            let versions = lines.of_task.get(task).cloned().unwrap_or_default();
            versions.into_iter().for_each(|version| lines.remove(version));
        }
    }
}

impl ShownLines {
    fn insert(&mut self, version: u64, line: UnfinishedLine) {
        let others = self.of_task.get(&line.task).map_or(&[][..], Vec::as_slice);
        let is_same = |other: &&u64| {
            self.by_version.get(other).is_some_and(|other| other.is_replaced_by(&line))
        };
        let replaced = others.iter().find(is_same).or_else(|| {
            let is_full = others.len() >= MAX_TASK_LINES;
            others.first().filter(|_| is_full)
        });
        if let Some(replaced) = replaced.copied() {
            self.remove(replaced);
        }
        if line.body.len() > MAX_BODY_BYTES || self.bytes + line.bytes() > MAX_BYTES {
            return;
        }
        self.bytes += line.bytes();
        self.of_task.entry(line.task.clone()).or_default().push(version);
        self.by_version.insert(version, Arc::new(line));
    }

    fn remove(&mut self, version: u64) {
        let Some(line) = self.by_version.remove(&version) else { return };
        self.bytes -= line.bytes();
        if let Some(versions) = self.of_task.get_mut(&line.task) {
            versions.retain(|known| *known != version);
            if versions.is_empty() {
                self.of_task.remove(&line.task);
            }
        }
    }

    fn since(&self, scope: &Scope, version: u64, newest: u64) -> UnfinishedSince {
        let of_scope: Box<dyn Iterator<Item = u64>> = match scope {
            Scope::All => Box::new(self.by_version.range(version + 1..).map(|(known, _)| *known)),
            Scope::Task(task) => {
                let versions = self.of_task.get(task).map_or(&[][..], Vec::as_slice);
                Box::new(versions.iter().copied().filter(move |known| *known > version))
            }
        };
        let (mut lines, mut bytes) = (Vec::new(), 0);
        for version in of_scope {
            let Some(line) = self.by_version.get(&version) else { continue };
            lines.push(Arc::clone(line));
            bytes += line.body.len();
            if bytes >= READ_BYTES {
                return UnfinishedSince { lines, version };
            }
        }
        UnfinishedSince { lines, version: newest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(task: &str, worker: &str, source: &str, body: &str) -> UnfinishedLine {
        UnfinishedLine {
            task: TaskId::new(task).unwrap(),
            worker: WorkerId::new(worker).unwrap(),
            source: source.into(),
            body: body.as_bytes().to_vec().into(),
        }
    }

    fn scope(task: &str) -> Scope {
        Scope::Task(TaskId::new(task).unwrap())
    }

    fn bodies(since: &UnfinishedSince) -> Vec<&[u8]> {
        since.lines.iter().map(|line| &line.body[..]).collect()
    }

    #[test]
    fn a_reader_gets_the_newest_of_each_worker_and_source_once() {
        let all = Arc::new(UnfinishedLines::default());
        let first = all.show(line("t", "a", "stdout", "."));
        let dots = all.show(line("t", "a", "stdout", ".."));
        let _error = all.show(line("t", "a", "stderr", "!"));
        let _other = all.show(line("u", "b", "stdout", "?"));
        let read = all.since(&scope("t"), 0);
        assert_eq!(bodies(&read), [&b".."[..], b"!"]);
        assert!(all.since(&scope("t"), read.version).lines.is_empty());
        assert_eq!(bodies(&all.since(&Scope::All, 0)), [&b".."[..], b"!", b"?"]);
        // What was replaced is gone, and letting go of it takes nothing else away.
        drop(first);
        assert_eq!(bodies(&all.since(&scope("t"), 0)), [&b".."[..], b"!"]);
        drop(dots);
        assert_eq!(bodies(&all.since(&scope("t"), 0)), [&b"!"[..]]);
    }

    #[test]
    fn what_is_shown_is_bounded_for_a_line_a_task_a_read_and_in_all() {
        let all = Arc::new(UnfinishedLines::default());
        let large = "x".repeat(MAX_BODY_BYTES);
        let too_large = all.show(line("t", "a", "stdout", &(large.clone() + "x")));
        assert!(all.since(&scope("t"), 0).lines.is_empty());
        drop(too_large);
        let show = |n: usize| all.show(line("t", &format!("w{n}"), "stdout", "."));
        let shown: Vec<_> = (0..=MAX_TASK_LINES).map(show).collect();
        let read = all.since(&scope("t"), 0);
        assert_eq!((read.lines.len(), read.lines[0].worker.as_str()), (MAX_TASK_LINES, "w1"));
        drop(shown);
        let show = |n: usize| all.show(line(&format!("t{n}"), "w", "stdout", &large));
        let shown: Vec<_> = (0..2 * MAX_BYTES / MAX_BODY_BYTES).map(show).collect();
        assert!(all.lock().bytes <= MAX_BYTES);
        assert_eq!(all.since(&Scope::All, 0).lines.len(), 1);
        drop(shown);
        let left = all.lock();
        assert_eq!((left.bytes, left.by_version.len(), left.of_task.len()), (0, 0, 0));
    }

    #[test]
    fn a_deleted_task_has_none() {
        let all = Arc::new(UnfinishedLines::default());
        let _shown = all.show(line("t", "a", "stdout", "."));
        all.forget(&[TaskId::new("t").unwrap()]);
        assert!(all.since(&Scope::All, 0).lines.is_empty());
    }
}
