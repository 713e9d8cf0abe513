//! The lines that wait for an ACK. Without a network, and without a clock but for the throttle.
//!
//! `lines` holds the lines without an ACK, oldest first. The current stream has sent the first
//! `sent` of them, and its entries 1 to `removed` are gone from here. So its entry n is at index
//! `n - 1 - removed`. A dropped line stays in place, empty, until the lines before it are gone.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::client::push::options::{Producer, Resumption, TimedStatus};
use crate::encode::{SEQ_KEY, SESSION_KEY, UNFINISHED_KEY};
use crate::proto::ottoscaler::WorkerLogEntry;

/// What a line in the window takes in addition to its message, in bytes.
const LINE_OVERHEAD_BYTES: usize = 64;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it was read, in RFC 3339.
    pub timestamp: Arc<str>,
    /// Where it came from; `None` for the producer's own source.
    pub source: Option<Arc<str>>,
    /// Its text, without the line end.
    pub message: String,
}

/// A line that the server refused for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Its number, from 1.
    pub line: u64,
    /// The server's reason.
    pub message: String,
}

/// What was given to a pusher and the server is not known to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// Whose lines they are.
    pub producer: Producer,
    /// How to go on: the number is that of the next line.
    pub resumption: Resumption,
    /// The lines with their numbers, which rise.
    pub lines: Vec<(u64, Line)>,
}

/// Counts of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Read from the input.
    pub pushed: u64,
    /// Kept by the server.
    pub acknowledged: u64,
    /// Refused by the server for good.
    pub dropped: u64,
}

/// What a stream does next: send an entry, wait, or end.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it is matched where it is made and never stored")]
pub(super) enum NextEntry {
    Send(WorkerLogEntry),
    Wait,
    WaitUntil(Instant),
    End,
}

/// What happened to an offered line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offered {
    Taken,
    Full(Line),
    Ended(Line),
}

/// The server answered an entry that this stream has not sent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it answered entry {sequence}, and {sent} were sent")]
pub(super) struct UnsentSequence {
    sequence: i64,
    sent: u64,
}

#[derive(Debug)]
struct UnackedLine {
    seq: u64,
    line: Line,
    dropped: bool,
}

impl UnackedLine {
    fn bytes(&self) -> usize {
        self.line.message.len() + LINE_OVERHEAD_BYTES
    }
}

/// What a source has written since its last line feed.
#[derive(Debug)]
struct UnfinishedLine {
    line: Line,
    /// Whether the current stream has sent it.
    is_sent: bool,
}

#[derive(Debug)]
pub(super) struct ResendWindow {
    producer: Producer,
    session: String,
    /// The number of the next line.
    next_seq: u64,
    /// Until it was told.
    first_status: Option<TimedStatus>,
    lines: VecDeque<UnackedLine>,
    bytes: usize,
    limit_bytes: usize,
    stream: u64,
    sent: usize,
    removed: u64,
    throttled_until: Option<Instant>,
    finished: Option<Option<TimedStatus>>,
    stopped: bool,
    progress: Progress,
    /// Whether the current stream's server takes unfinished lines.
    takes_unfinished: bool,
    /// One for each source at most.
    unfinished: Vec<UnfinishedLine>,
}

impl ResendWindow {
    pub(super) fn new(producer: Producer, resumption: Resumption, limit_bytes: usize) -> Self {
        Self {
            producer,
            session: resumption.session,
            next_seq: resumption.next_seq,
            first_status: resumption.first_status,
            lines: VecDeque::new(),
            bytes: 0,
            limit_bytes,
            stream: 0,
            sent: 0,
            removed: 0,
            throttled_until: None,
            finished: None,
            stopped: false,
            progress: Progress::default(),
            takes_unfinished: false,
            unfinished: Vec::new(),
        }
    }

    pub(super) fn producer(&self) -> &Producer {
        &self.producer
    }

    pub(super) fn offer(&mut self, line: Line) -> Offered {
        if self.stopped || self.finished.is_some() {
            return Offered::Ended(line);
        }
        let unacked = UnackedLine { seq: self.next_seq, line, dropped: false };
        let fits = self.lines.is_empty() || self.bytes + unacked.bytes() <= self.limit_bytes;
        if !fits {
            return Offered::Full(unacked.line);
        }
        self.unfinished.retain(|unfinished| unfinished.line.source != unacked.line.source);
        self.progress.pushed += 1;
        self.next_seq += 1;
        self.bytes += unacked.bytes();
        self.lines.push_back(unacked);
        Offered::Taken
    }

    /// What a source has written so far without a line feed; shown where the server can.
    pub(super) fn show_unfinished(&mut self, line: Line) {
        self.unfinished.retain(|unfinished| unfinished.line.source != line.source);
        self.unfinished.push(UnfinishedLine { line, is_sent: false });
    }

    /// The server of `stream` takes unfinished lines.
    pub(super) fn allow_unfinished(&mut self, stream: u64) {
        self.takes_unfinished |= stream == self.stream;
    }

    /// The next line gets this number, if it is higher than it would be.
    pub(super) fn skip_to(&mut self, seq: u64) {
        self.next_seq = self.next_seq.max(seq);
    }

    pub(super) fn finish(&mut self, end: Option<TimedStatus>) {
        self.finished.get_or_insert(end);
    }

    /// What to notify before the first line, until it was told.
    pub(super) fn first_status(&self) -> Option<TimedStatus> {
        self.first_status.clone()
    }

    pub(super) fn first_status_was_told(&mut self) {
        self.first_status = None;
    }

    /// The end was told: nothing is left to tell.
    pub(super) fn end_was_told(&mut self) {
        self.finished = Some(None);
    }

    /// Takes out what the server is not known to keep.
    pub(super) fn take_undelivered(&mut self) -> Undelivered {
        let left = std::mem::take(&mut self.lines);
        (self.bytes, self.sent) = (0, 0);
        Undelivered {
            producer: self.producer.clone(),
            resumption: Resumption {
                session: self.session.clone(),
                next_seq: self.next_seq,
                first_status: self.first_status.take(),
            },
            lines: left
                .into_iter()
                .filter(|unacked| !unacked.dropped)
                .map(|unacked| (unacked.seq, unacked.line))
                .collect(),
        }
    }

    /// The worker's end, where it was given and not told.
    pub(super) fn take_end(&mut self) -> Option<TimedStatus> {
        self.finished.replace(None).flatten()
    }

    /// Nothing more is taken or sent.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    /// A new stream takes over, from the first line without an ACK; returns its number.
    pub(super) fn begin_stream(&mut self) -> u64 {
        self.lines.retain(|unacked| !unacked.dropped);
        self.bytes = self.lines.iter().map(UnackedLine::bytes).sum();
        (self.sent, self.removed, self.takes_unfinished) = (0, 0, false);
        self.unfinished.iter_mut().for_each(|unfinished| unfinished.is_sent = false);
        self.stream += 1;
        self.stream
    }

    pub(super) fn next_for(&mut self, stream: u64, now: Instant) -> NextEntry {
        if self.stopped || stream != self.stream {
            return NextEntry::End;
        }
        if let Some(until) = self.throttled_until.filter(|until| *until > now) {
            return NextEntry::WaitUntil(until);
        }
        match self.lines.get(self.sent) {
            Some(unacked) => {
                self.sent += 1;
                NextEntry::Send(self.numbered_entry(unacked))
            }
            None if self.finished.is_some() => NextEntry::End,
            None => self.next_unfinished().map_or(NextEntry::Wait, NextEntry::Send),
        }
    }

    fn next_unfinished(&mut self) -> Option<WorkerLogEntry> {
        let mut unsent = self.unfinished.iter_mut().filter(|unfinished| !unfinished.is_sent);
        let next = unsent.next().filter(|_| self.takes_unfinished)?;
        next.is_sent = true;
        let line = next.line.clone();
        Some(self.entry(&line, [(UNFINISHED_KEY, "true".to_owned())]))
    }

    /// What stands for a line in the window.
    fn numbered_entry(&self, unacked: &UnackedLine) -> WorkerLogEntry {
        let (session, seq) = (self.session.clone(), unacked.seq.to_string());
        self.entry(&unacked.line, [(SESSION_KEY, session), (SEQ_KEY, seq)])
    }

    fn entry<const N: usize>(
        &self,
        line: &Line,
        metadata: [(&'static str, String); N],
    ) -> WorkerLogEntry {
        let producer = &self.producer;
        let metadata = metadata.map(|(key, value)| (key.to_owned(), value)).into();
        WorkerLogEntry {
            worker_id: producer.worker.to_string(),
            task_id: producer.task.to_string(),
            timestamp: line.timestamp.to_string(),
            level: producer.level.clone(),
            source: line.source.as_deref().unwrap_or(&producer.source).to_owned(),
            message: line.message.clone(),
            pod_metadata: None,
            metadata,
        }
    }

    /// The server keeps every line up to entry `sequence` of the stream, but for dropped ones.
    pub(super) fn acknowledge(&mut self, sequence: i64) -> Result<(), UnsentSequence> {
        if let Some(index) = self.index_of(sequence)? {
            (0..=index).for_each(|_| self.remove_first());
            self.remove_dropped();
        }
        Ok(())
    }

    /// The server refused entry `sequence` of the stream for good; returns the line's number.
    pub(super) fn drop_line(&mut self, sequence: i64) -> Result<Option<u64>, UnsentSequence> {
        let index = self.index_of(sequence)?;
        Ok(index.and_then(|index| self.drop_at(index)))
    }

    /// Drops the largest line of the stream if it is larger than `limit_bytes`; returns its
    /// number.
    pub(super) fn drop_largest_above(&mut self, limit_bytes: usize) -> Option<u64> {
        let sent = self.lines.iter().take(self.sent).enumerate();
        let (index, largest) = sent.max_by_key(|(_, unacked)| unacked.line.message.len())?;
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

    /// How many lines wait for an ACK.
    pub(super) fn unacked_lines(&self) -> usize {
        self.lines.len()
    }

    /// What to notify last, once no more lines come and all are acknowledged.
    pub(super) fn end(&self) -> Option<Option<TimedStatus>> {
        self.finished.clone().filter(|_| self.lines.is_empty())
    }

    /// The index of a stream's entry; `None` when it was answered before.
    fn index_of(&self, sequence: i64) -> Result<Option<usize>, UnsentSequence> {
        let sent = self.removed + self.sent as u64;
        let ordinal = u64::try_from(sequence).unwrap_or(0);
        if ordinal == 0 || ordinal > sent {
            return Err(UnsentSequence { sequence, sent });
        }
        Ok((ordinal - 1).checked_sub(self.removed).map(|index| index as usize))
    }

    fn drop_at(&mut self, index: usize) -> Option<u64> {
        let unacked = self.lines.get_mut(index).filter(|unacked| !unacked.dropped)?;
        let seq = unacked.seq;
        self.bytes -= unacked.line.message.len();
        unacked.line.message = String::new();
        unacked.dropped = true;
        self.progress.dropped += 1;
        self.remove_dropped();
        Some(seq)
    }

    fn remove_dropped(&mut self) {
        while self.lines.front().is_some_and(|unacked| unacked.dropped) {
            self.remove_first();
        }
    }

    fn remove_first(&mut self) {
        let Some(unacked) = self.lines.pop_front() else { return };
        self.bytes -= unacked.bytes();
        self.sent -= 1;
        self.removed += 1;
        self.progress.acknowledged += u64::from(!unacked.dropped);
    }
}
