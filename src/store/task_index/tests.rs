//! The index against plain lists.

use super::update::SegmentRange;
use super::*;
use crate::domain::{LineNumber, WorkerState};
use crate::store::format::{
    FilePosition, IndexAt, Millis, NotifiedState, TaskRecord, Tombstone, Trim, WorkerRecord,
};

const EPOCH: Epoch = Epoch(7);
const NOWHERE: IndexAt = IndexAt { position: FilePosition(0), bytes: 0, crc: 0 };

fn worker(name: &str, ordinal: u32, last: u64) -> WorkerRecord<'_> {
    let state = Some(NotifiedState { state: WorkerState::Running, offset: Offset(last) });
    WorkerRecord { ordinal, worker: name, lines: 1, state, last: Offset(last), sessions: vec![] }
}

fn record<'a>(
    task: &'a str,
    (first, last): (u64, u64),
    first_line: u64,
    workers: Vec<WorkerRecord<'a>>,
) -> TaskRecord<'a> {
    TaskRecord {
        task,
        first: Offset(first),
        last: Offset(last),
        first_line: LineNumber(first_line),
        lines: last - first + 1,
        bytes: 10,
        lost_lines: 0,
        first_time: Millis(first),
        last_time: Millis(last),
        previous: None,
        index: NOWHERE,
        workers,
    }
}

fn tasks(records: Vec<TaskRecord<'_>>) -> FooterTasks<'_> {
    FooterTasks { records, ..FooterTasks::default() }
}

fn range(base: u64, end: u64) -> SegmentRange {
    SegmentRange { base: Offset(base), end: Offset(end), crc: 5 }
}

/// Two segments: `a` in both, `b` in the first, `c` in the second.
fn two_segments() -> TaskIndex {
    let index = TaskIndex::in_memory().unwrap();
    let first = tasks(vec![
        record("a", (1, 4), 1, vec![worker("w", 0, 2), worker("x", 1, 4)]),
        record("b", (5, 9), 1, vec![worker("w", 0, 9)]),
    ]);
    index.add_segment(EPOCH, range(1, 10), &first).unwrap();
    let second = tasks(vec![
        record("a", (10, 12), 5, vec![worker("x", 1, 12)]),
        record("c", (13, 19), 1, vec![worker("w", 0, 19)]),
    ]);
    index.add_segment(EPOCH, range(10, 20), &second).unwrap();
    index
}

fn newest(index: &TaskIndex, before: u64) -> Vec<String> {
    let mut found = Vec::new();
    let visit = |task: &str, _| {
        found.push(task.to_owned());
        Ok(true)
    };
    index.reader().unwrap().newest_before(Offset(before), visit).unwrap();
    found
}

#[test]
fn a_task_has_the_spans_and_workers_of_all_segments_and_the_list_is_newest_first() {
    let index = two_segments();
    let reader = index.reader().unwrap();
    let task = reader.load("a").unwrap().unwrap();
    assert_eq!(task.spans.iter().map(|span| span.first.0).collect::<Vec<_>>(), [1, 10]);
    assert_eq!((task.row.counts.total, task.row.next_ordinal), (2, 2));
    assert_eq!(task.workers[1].read().unwrap().0.last, Offset(12));
    assert_eq!(newest(&index, u64::MAX), ["c", "a", "b"]);
    assert_eq!(newest(&index, 12), ["b"]);
    let progress = Progress { epoch: EPOCH, indexed_to: Offset(20), last_crc: 5 };
    assert_eq!(index.progress().unwrap(), Some(progress));
}

#[test]
fn spans_are_found_by_offset_and_by_line_and_those_before_the_start_are_not() {
    let index = two_segments();
    let reader = index.reader().unwrap();
    let first = |span: Option<SpanRow>| span.map(|span| span.first.0);
    let at = |offset| first(reader.span_at("a", Offset(1), Offset(offset)).unwrap());
    assert_eq!([at(1), at(4), at(5), at(12), at(13)], [Some(1), Some(1), Some(10), Some(10), None]);
    assert_eq!(first(reader.span_at("a", Offset(10), Offset(1)).unwrap()), Some(10));
    let of_line = |line| first(reader.span_of_line("a", Offset(1), LineNumber(line)).unwrap());
    assert_eq!([of_line(4), of_line(5), of_line(8)], [Some(1), Some(10), None]);
    assert_eq!(reader.worker("a", "x").unwrap().unwrap().read().unwrap().0.ordinal, 1);
    assert!(reader.worker("a", "y").unwrap().is_none());
}

#[test]
fn with_the_oldest_segment_go_its_tasks_and_workers_that_have_nothing_later() {
    let index = two_segments();
    let gone = tasks(vec![
        record("a", (1, 4), 1, vec![worker("w", 0, 2), worker("x", 1, 4)]),
        record("b", (5, 9), 1, vec![worker("w", 0, 9)]),
    ]);
    index.remove_segment(range(1, 10), &gone).unwrap();
    let reader = index.reader().unwrap();
    assert!(reader.load("b").unwrap().is_none());
    assert!(reader.worker("b", "w").unwrap().is_none());
    let task = reader.load("a").unwrap().unwrap();
    assert_eq!((task.spans.len(), task.workers.len(), task.row.counts.total), (1, 1, 1));
    assert_eq!(newest(&index, u64::MAX), ["c", "a"]);
}

#[test]
fn a_tombstone_removes_what_came_before_it_and_goes_with_its_segment() {
    let index = two_segments();
    let third = FooterTasks {
        records: vec![record("c", (20, 21), 1, vec![worker("v", 0, 21)])],
        tombstones: ["a", "c"].map(|task| Tombstone { task, end: Offset(20) }).into(),
        ..FooterTasks::default()
    };
    index.add_segment(EPOCH, range(20, 22), &third).unwrap();
    let reader = index.reader().unwrap();
    let gone = reader.load("a").unwrap().unwrap();
    assert_eq!((gone.spans.len(), gone.workers.len()), (0, 0));
    assert_eq!(gone.deletion.map(|deletion| deletion.end), Some(Offset(20)));
    let new = reader.load("c").unwrap().unwrap();
    assert_eq!((new.spans.len(), new.spans[0].first, new.row.counts.total), (1, Offset(20), 1));
    assert!(reader.worker("c", "w").unwrap().is_none());
    assert_eq!(newest(&index, u64::MAX), ["c", "b"]);
    let second = tasks(vec![record("c", (13, 19), 1, vec![worker("w", 0, 19)])]);
    index.remove_segment(range(10, 20), &second).unwrap();
    let reader = index.reader().unwrap();
    assert!(reader.has_hidden().unwrap());
    assert_eq!(reader.load("c").unwrap().unwrap().spans.len(), 1, "it is the new task's");
    index.remove_segment(range(20, 22), &third).unwrap();
    let reader = index.reader().unwrap();
    assert!(!reader.has_hidden().unwrap());
    assert!(reader.load("a").unwrap().is_none() && reader.load("c").unwrap().is_none());
}

#[test]
fn a_trim_is_known_until_its_segment_goes_or_its_task_is_deleted() {
    let index = two_segments();
    let trim = |from| Trim {
        from: Offset(from),
        end: Offset(19),
        first_line: LineNumber(2),
        end_line: LineNumber(5),
        bytes: 9,
    };
    let third = FooterTasks {
        records: vec![record("c", (20, 21), 1, vec![worker("w", 0, 21)])],
        tombstones: vec![Tombstone { task: "a", end: Offset(20) }],
        trims: vec![("a", trim(20)), ("c", trim(14))],
        ..FooterTasks::default()
    };
    index.add_segment(EPOCH, range(20, 22), &third).unwrap();
    let reader = index.reader().unwrap();
    assert_eq!(reader.trim("a").unwrap(), Some(trim(20)), "it came after the deletion");
    assert_eq!(reader.load("c").unwrap().unwrap().trim, Some(trim(14)));
    let fourth = FooterTasks {
        tombstones: vec![Tombstone { task: "a", end: Offset(22) }],
        ..FooterTasks::default()
    };
    index.add_segment(EPOCH, range(22, 23), &fourth).unwrap();
    assert_eq!(index.reader().unwrap().trim("a").unwrap(), None);
    index.remove_segment(range(20, 22), &third).unwrap();
    assert_eq!(index.reader().unwrap().trim("c").unwrap(), None);
}

#[test]
fn an_index_survives_reopening_and_a_file_that_is_not_one_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let index = TaskIndex::open(dir.path()).unwrap();
    assert_eq!(index.progress().unwrap(), None);
    index.add_segment(EPOCH, range(1, 2), &tasks(vec![record("a", (1, 1), 1, vec![])])).unwrap();
    drop(index);
    let index = TaskIndex::open(dir.path()).unwrap();
    assert!(index.reader().unwrap().row("a").unwrap().is_some());
    drop(index);
    std::fs::write(dir.path().join(FILE), b"something else").unwrap();
    assert!(TaskIndex::open(dir.path()).is_err());
    TaskIndex::remove(dir.path()).unwrap();
    assert_eq!(TaskIndex::open(dir.path()).unwrap().progress().unwrap(), None);
}
