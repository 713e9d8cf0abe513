//! A block: consecutive entries of one task, as committed, shared by everyone who reads them.
//!
//! # Payload
//! ```text
//! payload := run*
//! run     := len worker | len session | [seq] | count | bytes | record{count}
//! record  := u32 LE (kind << 28 | length) | body
//! ```
//! `len`, `seq`, `count` and `bytes` are LEB128. `len session` is 0 where the producer
//! does not number its entries, and only then `seq`, the last number of the run, is absent.

use bytes::{BufMut, Bytes};

use super::batch::{Kind, Run, split_record};
use super::ids::{Offset, TaskId};

/// Consecutive entries of one task. Their offsets are contiguous, from `base`.
#[derive(Debug, Clone)]
pub struct Block {
    /// The task that they belong to.
    pub task: TaskId,
    /// The first entry's offset.
    pub base: Offset,
    /// The line number that the first log line of the block has.
    pub base_line: u64,
    /// The number of entries.
    pub count: u32,
    /// How many of them are log lines.
    pub lines: u32,
    /// When it was committed, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// The runs, in the format that the module describes.
    pub payload: Bytes,
}

/// A payload that is not made of runs and records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the payload has no valid record at byte {position}")]
pub struct Damaged {
    /// The byte position in the payload.
    pub position: usize,
}

/// The session of a run's producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunSession<'a> {
    /// Entry metadata `otto.session`.
    pub id: &'a str,
    /// Entry metadata `otto.seq` of the run's last entry.
    pub last_seq: u64,
}

/// One committed entry, borrowed from its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its offset in the store.
    pub offset: Offset,
    /// Its line number in the task. All parts of a line have the same; what is no line has none.
    pub line: Option<u64>,
    /// What it is.
    pub kind: Kind,
    /// The worker it comes from.
    pub worker: &'a str,
    /// Set where the producer numbers its entries.
    pub session: Option<RunSession<'a>>,
    /// The JSON members after `offset` and `line`, with the closing brace.
    pub body: &'a [u8],
}

impl Block {
    /// The last entry's offset.
    pub fn last(&self) -> Offset {
        Offset(self.base.0 + u64::from(self.count) - 1)
    }

    /// The offset after the last entry.
    pub fn end(&self) -> Offset {
        Offset(self.base.0 + u64::from(self.count))
    }

    /// The entries in order. Ends early where the payload is damaged; [`Block::check`] finds that,
    /// once, when a block is read from disk.
    pub fn entries(&self) -> Entries<'_> {
        Entries {
            rest: &self.payload,
            run: RunHead::default(),
            offset: self.base,
            line: self.base_line,
        }
    }

    /// Checks that the whole payload can be read.
    ///
    /// # Errors
    /// Where the first invalid record is. A count that differs from the block's own is an error at
    /// the end of the payload.
    pub fn check(&self) -> Result<(), Damaged> {
        let mut entries = self.entries();
        let (mut count, mut lines) = (0, 0);
        for entry in &mut entries {
            count += 1;
            lines += u32::from(entry.kind == Kind::Log);
        }
        let whole = entries.rest.is_empty() && count == self.count && lines == self.lines;
        if whole {
            Ok(())
        } else {
            Err(Damaged { position: self.payload.len() - entries.rest.len() })
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct RunHead<'a> {
    worker: &'a str,
    session: Option<RunSession<'a>>,
    left: u64,
}

/// Iterator over a block's entries.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    rest: &'a [u8],
    run: RunHead<'a>,
    offset: Offset,
    line: u64,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        while self.run.left == 0 {
            let mut rest = self.rest;
            self.run = split_run_head(&mut rest)?;
            self.rest = rest;
        }
        let (kind, body) = split_record(&mut self.rest)?;
        self.run.left -= 1;
        let line = match kind {
            Kind::Log => Some(self.line),
            // Of the line before it, which may stand in the block before.
            Kind::Part => self.line.checked_sub(1).filter(|line| *line > 0),
            Kind::Gap | Kind::Status(_) | Kind::End => None,
        };
        self.line += u64::from(kind == Kind::Log);
        let offset = self.offset;
        self.offset = offset.next();
        let RunHead { worker, session, .. } = self.run;
        Some(Entry { offset, line, kind, worker, session, body })
    }
}

/// How many bytes [`encode_run`] appends.
pub fn encoded_run_bytes(run: &Run) -> usize {
    let text = |bytes: usize| varint_bytes(bytes as u64) + bytes;
    let session = run.session.as_ref().map_or(1, |session| {
        text(session.id.len()) + varint_bytes(session.seqs.last().copied().unwrap_or(0))
    });
    let records = run.records.as_bytes().len();
    let counts = varint_bytes(u64::from(run.records.count()));
    text(run.worker.as_str().len()) + session + counts + text(records)
}

/// Appends `run` to a payload.
pub fn encode_run(payload: &mut Vec<u8>, run: &Run) {
    let records = run.records.as_bytes();
    put_text(payload, run.worker.as_str());
    match &run.session {
        Some(session) => {
            put_text(payload, &session.id);
            put_varint(payload, session.seqs.last().copied().unwrap_or(0));
        }
        None => put_text(payload, ""),
    }
    put_varint(payload, u64::from(run.records.count()));
    put_varint(payload, records.len() as u64);
    payload.extend_from_slice(records);
}

fn split_run_head<'a>(rest: &mut &'a [u8]) -> Option<RunHead<'a>> {
    let worker = split_text(rest)?;
    let id = split_text(rest)?;
    let session = match id {
        "" => None,
        id => Some(RunSession { id, last_seq: split_varint(rest)? }),
    };
    let left = split_varint(rest)?;
    let _bytes = split_varint(rest)?;
    Some(RunHead { worker, session, left })
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.put_slice(text.as_bytes());
}

fn split_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let bytes = usize::try_from(split_varint(rest)?).ok()?;
    let (text, after) = rest.split_at_checked(bytes)?;
    *rest = after;
    std::str::from_utf8(text).ok()
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_bytes(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

fn split_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ProducerSession, Records, WorkerId, WorkerState};

    fn run(worker: &str, session: Option<ProducerSession>, bodies: &[(Kind, &str)]) -> Run {
        let mut records = Records::default();
        for (kind, body) in bodies {
            records.push(*kind, body.as_bytes());
        }
        let task = TaskId::new("t").unwrap();
        Run { task, worker: WorkerId::new(worker).unwrap(), session, records }
    }

    fn block() -> Block {
        let session = ProducerSession { id: "s".into(), seqs: vec![7, 300] };
        let runs = [
            run("w1", Some(session), &[(Kind::Log, "\"a\":1}"), (Kind::Log, "\"a\":2}")]),
            run(
                "w2",
                None,
                &[(Kind::Status(WorkerState::Failed), "\"s\":1}"), (Kind::Log, "\"a\":3}")],
            ),
        ];
        let mut payload = Vec::new();
        runs.iter().for_each(|run| encode_run(&mut payload, run));
        let task = TaskId::new("t").unwrap();
        Block {
            task,
            base: Offset(10),
            base_line: 5,
            count: 4,
            lines: 3,
            time_ms: 0,
            payload: payload.into(),
        }
    }

    #[test]
    fn entries_come_back_in_order_with_offsets_and_lines_only_for_log_lines() {
        let block = block();
        let seen: Vec<_> =
            block.entries().map(|e| (e.offset.0, e.line, e.worker, e.session)).collect();
        let session = Some(RunSession { id: "s", last_seq: 300 });
        let expected = [
            (10, Some(5), "w1", session),
            (11, Some(6), "w1", session),
            (12, None, "w2", None),
            (13, Some(7), "w2", None),
        ];
        assert_eq!(seen, expected);
        assert_eq!(block.check(), Ok(()));
        assert_eq!(block.last(), Offset(13));
    }

    #[test]
    fn the_parts_of_a_line_have_its_number_also_when_they_begin_a_block() {
        let kinds = [(Kind::Part, "\"a\":1}"), (Kind::Log, "\"a\":2}"), (Kind::Part, "\"a\":3}")];
        let mut payload = Vec::new();
        encode_run(&mut payload, &run("w", None, &kinds));
        let block = Block { count: 3, lines: 1, payload: payload.into(), ..block() };
        let lines: Vec<_> = block.entries().map(|entry| entry.line).collect();
        assert_eq!(lines, [Some(4), Some(5), Some(5)]);
        assert_eq!(block.check(), Ok(()));
    }

    #[test]
    fn a_runs_encoded_size_is_known_before() {
        let long = "x".repeat(200);
        for seqs in [vec![], vec![0], vec![127], vec![128], vec![1, 16_384], vec![u64::MAX]] {
            for id in ["s", &long] {
                let session = ProducerSession { id: id.into(), seqs: seqs.clone() };
                let bodies = vec![(Kind::Log, id); seqs.len()];
                for session in [Some(session.clone()), None] {
                    let run = run(id, session, &bodies);
                    let mut payload = Vec::new();
                    encode_run(&mut payload, &run);
                    assert_eq!(encoded_run_bytes(&run), payload.len(), "{run:?}");
                }
            }
        }
    }

    #[test]
    fn a_payload_cut_at_any_byte_is_found_damaged() {
        let whole = block();
        for end in 0..whole.payload.len() {
            let cut = Block { payload: whole.payload.slice(..end), ..whole.clone() };
            assert!(cut.check().is_err(), "a cut at {end} went unnoticed");
        }
    }
}
