//! The lines that wait for an answer. Knows no clock but the throttle's, and no network.
//!
//! `lines` holds what is unanswered, oldest first. The current stream has taken the first
//! `sent` of them; ordinals 1 to `passed` of that stream have left already. So ordinal n
//! stands at index `n - 1 - passed`. A dropped line whose elders are unanswered stays in
//! place, empty, until they leave.

#[cfg(test)]
mod tests;

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
    /// TryAppendError by the server.
    pub dropped: u64,
}

/// What a stream does next.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it is made")]
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
pub(super) struct ResendWindow {
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

impl ResendWindow {
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
