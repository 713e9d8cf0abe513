//! The lines that wait for an answer. Knows no clock but the throttle's, and no network.
//!
//! `lines` holds what is unanswered, oldest first. The current stream has taken the first
//! `sent` of them; ordinals 1 to `passed` of that stream have left already. So ordinal n
//! stands at index `n - 1 - passed`. A dropped line whose elders are unanswered stays in
//! place, empty, until they leave.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Producer;
use crate::domain::WorkerState;
use crate::proto::ottoscaler::WorkerLogEntry;

/// What a waiting line takes beside its message, in bytes.
const LINE_OVERHEAD_BYTES: usize = 64;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it was written, RFC 3339. Lines read together share it.
    pub timestamp: Arc<str>,
    /// Its text, without the line end.
    pub message: String,
}

/// A line that the server does not keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Which one, from 1.
    pub line: u64,
    /// The server's words.
    pub message: String,
}

/// Counts of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Taken for pushing.
    pub pushed: u64,
    /// Kept by the server.
    pub acknowledged: u64,
    /// Refused by the server.
    pub dropped: u64,
}

/// What a stream does next.
#[derive(Debug)]
pub(super) enum Next {
    Send(WorkerLogEntry),
    Wait,
    WaitUntil(Instant),
    End,
}

/// What became of an offered line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offered {
    Taken,
    Full(Line),
    Ended,
}

/// The server answered a line that this stream has not sent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it answered entry {sequence} of a stream of {sent}")]
pub(super) struct Unsent {
    sequence: i64,
    sent: u64,
}

#[derive(Debug)]
struct Waiting {
    seq: u64,
    line: Line,
    dropped: bool,
}

impl Waiting {
    fn bytes(&self) -> usize {
        self.line.message.len() + LINE_OVERHEAD_BYTES
    }
}

#[derive(Debug)]
pub(super) struct Window {
    producer: Producer,
    session: String,
    lines: VecDeque<Waiting>,
    bytes: usize,
    limit_bytes: usize,
    stream: u64,
    sent: usize,
    passed: u64,
    throttled_until: Option<Instant>,
    finished: Option<Option<WorkerState>>,
    stopped: bool,
    progress: Progress,
}

impl Window {
    pub(super) fn new(producer: Producer, session: String, limit_bytes: usize) -> Self {
        Self {
            producer,
            session,
            lines: VecDeque::new(),
            bytes: 0,
            limit_bytes,
            stream: 0,
            sent: 0,
            passed: 0,
            throttled_until: None,
            finished: None,
            stopped: false,
            progress: Progress::default(),
        }
    }

    pub(super) fn producer(&self) -> &Producer {
        &self.producer
    }

    pub(super) fn offer(&mut self, line: Line) -> Offered {
        if self.stopped || self.finished.is_some() {
            return Offered::Ended;
        }
        let waiting = Waiting { seq: self.progress.pushed + 1, line, dropped: false };
        let has_room = self.lines.is_empty() || self.bytes + waiting.bytes() <= self.limit_bytes;
        if !has_room {
            return Offered::Full(waiting.line);
        }
        self.progress.pushed += 1;
        self.bytes += waiting.bytes();
        self.lines.push_back(waiting);
        Offered::Taken
    }

    pub(super) fn finish(&mut self, status: Option<WorkerState>) {
        self.finished.get_or_insert(status);
    }

    /// Nothing more is taken or sent.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    /// A new stream takes over, from the first unanswered line; returns its number.
    pub(super) fn begin_stream(&mut self) -> u64 {
        self.lines.retain(|waiting| !waiting.dropped);
        self.bytes = self.lines.iter().map(Waiting::bytes).sum();
        (self.sent, self.passed) = (0, 0);
        self.stream += 1;
        self.stream
    }

    pub(super) fn next_for(&mut self, stream: u64, now: Instant) -> Next {
        if self.stopped || stream != self.stream {
            return Next::End;
        }
        if let Some(until) = self.throttled_until.filter(|until| *until > now) {
            return Next::WaitUntil(until);
        }
        match self.lines.get(self.sent) {
            Some(waiting) => {
                self.sent += 1;
                Next::Send(self.entry(waiting))
            }
            None if self.finished.is_some() => Next::End,
            None => Next::Wait,
        }
    }

    fn entry(&self, waiting: &Waiting) -> WorkerLogEntry {
        let producer = &self.producer;
        let metadata = HashMap::from([
            ("otto.session".to_owned(), self.session.clone()),
            ("otto.seq".to_owned(), waiting.seq.to_string()),
        ]);
        WorkerLogEntry {
            worker_id: producer.worker.to_string(),
            task_id: producer.task.to_string(),
            timestamp: waiting.line.timestamp.to_string(),
            level: producer.level.clone(),
            source: producer.source.clone(),
            message: waiting.line.message.clone(),
            pod_metadata: None,
            metadata,
        }
    }

    /// The server keeps every line up to ordinal `sequence` that it has not dropped.
    pub(super) fn acknowledge(&mut self, sequence: i64) -> Result<(), Unsent> {
        if let Some(index) = self.index_of(sequence)? {
            (0..=index).for_each(|_| self.pass_first());
            self.pass_dropped();
        }
        Ok(())
    }

    /// The server does not keep the line of ordinal `sequence`; which one that is.
    pub(super) fn drop_line(&mut self, sequence: i64) -> Result<Option<u64>, Unsent> {
        let index = self.index_of(sequence)?;
        Ok(index.and_then(|index| self.drop_at(index)))
    }

    /// Takes the largest line of the stream for dropped if it is larger than `limit_bytes`;
    /// which one that is.
    pub(super) fn drop_largest_above(&mut self, limit_bytes: usize) -> Option<u64> {
        let sent = self.lines.iter().take(self.sent).enumerate();
        let (index, largest) = sent.max_by_key(|(_, waiting)| waiting.line.message.len())?;
        if largest.line.message.len() <= limit_bytes {
            return None;
        }
        self.drop_at(index)
    }

    pub(super) fn throttle(&mut self, pause: Duration) {
        self.throttled_until = Some(Instant::now() + pause);
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress
    }

    /// How many lines wait for an answer.
    pub(super) fn unanswered(&self) -> usize {
        self.lines.len()
    }

    /// The last status to tell, once no more lines come and all are answered.
    pub(super) fn settled(&self) -> Option<Option<WorkerState>> {
        self.finished.filter(|_| self.lines.is_empty())
    }

    /// Where an ordinal stands; `None` when it was answered before.
    fn index_of(&self, sequence: i64) -> Result<Option<usize>, Unsent> {
        let sent = self.passed + self.sent as u64;
        let ordinal = u64::try_from(sequence).unwrap_or(0);
        if ordinal == 0 || ordinal > sent {
            return Err(Unsent { sequence, sent });
        }
        Ok((ordinal - 1).checked_sub(self.passed).map(|index| index as usize))
    }

    fn drop_at(&mut self, index: usize) -> Option<u64> {
        let waiting = self.lines.get_mut(index).filter(|waiting| !waiting.dropped)?;
        let seq = waiting.seq;
        self.bytes -= waiting.line.message.len();
        waiting.line.message = String::new();
        waiting.dropped = true;
        self.progress.dropped += 1;
        self.pass_dropped();
        Some(seq)
    }

    fn pass_dropped(&mut self) {
        while self.lines.front().is_some_and(|waiting| waiting.dropped) {
            self.pass_first();
        }
    }

    fn pass_first(&mut self) {
        let Some(waiting) = self.lines.pop_front() else { return };
        self.bytes -= waiting.bytes();
        self.sent -= 1;
        self.passed += 1;
        self.progress.acknowledged += u64::from(!waiting.dropped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{TaskId, WorkerId};

    fn window(limit_bytes: usize) -> Window {
        let producer = Producer {
            task: TaskId::new("t").unwrap(),
            worker: WorkerId::new("w").unwrap(),
            level: "INFO".into(),
            source: "stdout".into(),
        };
        Window::new(producer, "s".into(), limit_bytes)
    }

    fn line(message: &str) -> Line {
        Line { timestamp: "2026-01-01T00:00:00Z".into(), message: message.into() }
    }

    fn filled(messages: &[&str]) -> Window {
        let mut window = window(1 << 20);
        for message in messages {
            assert_eq!(window.offer(line(message)), Offered::Taken);
        }
        window
    }

    /// Takes all that the stream may send: (`otto.seq`, message).
    fn send_all(window: &mut Window, stream: u64) -> Vec<(String, String)> {
        let mut sent = Vec::new();
        while let Next::Send(entry) = window.next_for(stream, Instant::now()) {
            sent.push((entry.metadata["otto.seq"].clone(), entry.message));
        }
        sent
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(seq, message)| ((*seq).into(), (*message).into())).collect()
    }

    #[test]
    fn a_new_stream_resends_from_the_first_unanswered_line_with_the_same_numbers() {
        let mut window = filled(&["a", "b", "c"]);
        let first = window.begin_stream();
        assert_eq!(send_all(&mut window, first), pairs(&[("1", "a"), ("2", "b"), ("3", "c")]));
        window.acknowledge(1).unwrap();
        let second = window.begin_stream();
        assert!(matches!(window.next_for(first, Instant::now()), Next::End));
        assert_eq!(send_all(&mut window, second), pairs(&[("2", "b"), ("3", "c")]));
        window.acknowledge(2).unwrap();
        assert_eq!(window.progress(), Progress { pushed: 3, acknowledged: 3, dropped: 0 });
    }

    #[test]
    fn a_dropped_line_is_not_resent_and_ordinals_of_the_new_stream_still_fit() {
        let mut window = filled(&["a", "b", "c", "d"]);
        let first = window.begin_stream();
        send_all(&mut window, first);
        assert_eq!(window.drop_line(2), Ok(Some(2)));
        assert_eq!(window.drop_line(2), Ok(None), "dropped once only");
        let second = window.begin_stream();
        let sent = send_all(&mut window, second);
        assert_eq!(sent, pairs(&[("1", "a"), ("3", "c"), ("4", "d")]));
        window.acknowledge(2).unwrap();
        window.acknowledge(3).unwrap();
        assert_eq!(window.progress(), Progress { pushed: 4, acknowledged: 3, dropped: 1 });
        assert_eq!(window.unanswered(), 0);
    }

    #[test]
    fn a_cumulative_acknowledgement_passes_over_drops_and_counts_them_apart() {
        let mut window = filled(&["a", "b", "c", "d"]);
        let stream = window.begin_stream();
        send_all(&mut window, stream);
        window.drop_line(2).unwrap();
        window.drop_line(4).unwrap();
        window.acknowledge(3).unwrap();
        assert_eq!(window.progress(), Progress { pushed: 4, acknowledged: 2, dropped: 2 });
        assert_eq!((window.unanswered(), window.bytes), (0, 0));
    }

    #[test]
    fn an_answer_given_before_is_ignored_and_one_to_an_unsent_line_is_refused() {
        let mut window = filled(&["a", "b"]);
        let stream = window.begin_stream();
        window.next_for(stream, Instant::now());
        window.acknowledge(1).unwrap();
        window.acknowledge(1).unwrap();
        for sequence in [2, 0, -1] {
            assert_eq!(window.acknowledge(sequence), Err(Unsent { sequence, sent: 1 }));
        }
        assert_eq!(window.progress().acknowledged, 1);
    }

    #[test]
    fn the_window_is_bounded_in_bytes_and_takes_a_larger_line_alone() {
        let mut window = window(200);
        let long = "x".repeat(1000);
        assert_eq!(window.offer(line(&long)), Offered::Taken);
        assert_eq!(window.offer(line("b")), Offered::Full(line("b")));
        let stream = window.begin_stream();
        send_all(&mut window, stream);
        window.acknowledge(1).unwrap();
        assert_eq!(window.offer(line("b")), Offered::Taken);
        assert_eq!(window.offer(line("c")), Offered::Taken);
        assert_eq!(window.offer(line(&"d".repeat(100))), Offered::Full(line(&"d".repeat(100))));
    }

    #[test]
    fn only_a_sent_line_above_the_limit_can_be_the_one_that_is_too_large() {
        let mut window = filled(&["a", "bbbbb", "cc", "dddddddd"]);
        let stream = window.begin_stream();
        (0..3).for_each(|_| drop(window.next_for(stream, Instant::now())));
        assert_eq!(window.drop_largest_above(5), None);
        assert_eq!(window.drop_largest_above(4), Some(2));
        let stream = window.begin_stream();
        let sent = send_all(&mut window, stream);
        assert_eq!(sent, pairs(&[("1", "a"), ("3", "cc"), ("4", "dddddddd")]));
    }

    #[test]
    fn a_throttle_holds_lines_back_until_its_time() {
        let mut window = filled(&["a"]);
        let stream = window.begin_stream();
        window.throttle(Duration::from_secs(60));
        let now = Instant::now();
        assert!(matches!(window.next_for(stream, now), Next::WaitUntil(until) if until > now));
        assert!(matches!(window.next_for(stream, now + Duration::from_secs(61)), Next::Send(_)));
    }

    #[test]
    fn a_finished_window_takes_nothing_and_settles_once_all_is_answered() {
        let mut window = filled(&["a"]);
        window.finish(Some(WorkerState::Failed));
        assert_eq!(window.offer(line("b")), Offered::Ended);
        assert_eq!(window.settled(), None);
        let stream = window.begin_stream();
        send_all(&mut window, stream);
        assert!(matches!(window.next_for(stream, Instant::now()), Next::End));
        window.acknowledge(1).unwrap();
        assert_eq!(window.settled(), Some(Some(WorkerState::Failed)));
    }
}
