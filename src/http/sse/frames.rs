//! Events as bytes.

use std::fmt::Arguments;
use std::io::Write;

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

use crate::domain::{Block, Entry, Epoch, Kind, Offset, now_ms};
use crate::encode::format_ms;
use crate::http::tasks::Verdict;
use crate::store::Gap;
use crate::tasks::Task;

/// Between which milliseconds a browser is told to wait before it reconnects: jitter keeps
/// those that a restart cut off from coming back all at once.
const RETRY_MS: std::ops::RangeInclusive<u64> = 1000..=3000;

/// A frame's bytes beside the entry's own: event, id, the JSON's head.
const FRAME_OVERHEAD_BYTES: usize = 80;

/// Writes frames whose ids name one store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frames {
    pub(super) epoch: Epoch,
}

/// The frames of a block that somebody may see.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) bytes: Vec<u8>,
    /// The last entry among them.
    pub(super) last: Option<Offset>,
}

impl Frames {
    /// All of `block`, made once for everyone.
    pub(super) fn block(self, block: &Block) -> Bytes {
        block.derived(|block| self.part(block, block.base, |_| true).bytes.into())
    }

    /// What of `block` stands at or after `from` and passes.
    pub(super) fn part(
        self,
        block: &Block,
        from: Offset,
        passes: impl Fn(&Entry<'_>) -> bool,
    ) -> Part {
        let mut part = Part { bytes: Vec::new(), last: None };
        let entries = block.entries().filter(|entry| entry.offset >= from && passes(entry));
        for entry in entries {
            if part.last.is_none() {
                let overhead = FRAME_OVERHEAD_BYTES * block.count as usize;
                part.bytes.reserve(block.payload.len() + overhead);
            }
            self.entry(&mut part.bytes, &entry);
            part.last = Some(entry.offset);
        }
        part
    }

    fn entry(self, out: &mut Vec<u8>, entry: &Entry<'_>) {
        let event = match entry.kind {
            Kind::Log => "log",
            Kind::Gap => "gap",
            Kind::Status(_) => "status",
        };
        put(out, format_args!("event: {event}\nid: {}-{}\ndata: ", self.epoch, entry.offset));
        entry.write_json(out);
        out.extend_from_slice(b"\n\n");
    }

    /// Moves the reader's resume point without an event.
    pub(super) fn id_only(self, offset: Offset) -> Vec<u8> {
        format!("id: {}-{offset}\n\n", self.epoch).into_bytes()
    }

    /// Entries that are gone.
    pub(super) fn gap(self, gap: &Gap) -> Vec<u8> {
        let Gap { from, to, lines, reason } = gap;
        let data = json!({ "from": from.0, "to": to.0, "lines": lines, "reason": reason });
        self.event("gap", *to, &data)
    }

    /// The stream begins anew, after `offset`.
    pub(super) fn reset(self, offset: Offset) -> Vec<u8> {
        self.event("reset", offset, &json!({ "epoch": self.epoch.to_string() }))
    }

    /// The task is complete.
    pub(super) fn complete(self, task: &Task) -> Vec<u8> {
        self.event("complete", task.summary.last_offset, &Verdict::from(task))
    }

    fn event(self, name: &str, id: Offset, data: &impl Serialize) -> Vec<u8> {
        let data = to_json(data);
        format!("event: {name}\nid: {}-{id}\ndata: {data}\n\n", self.epoch).into_bytes()
    }
}

/// When to reconnect, with jitter.
pub(super) fn retry() -> Vec<u8> {
    format!("retry: {}\n\n", fastrand::u64(RETRY_MS)).into_bytes()
}

/// A sign of life.
pub(super) fn heartbeat() -> Vec<u8> {
    let data = json!({ "timestamp": format_ms(now_ms()) });
    format!("event: heartbeat\ndata: {data}\n\n").into_bytes()
}

/// Why the server ends the stream.
pub(super) fn error(code: &str, message: &str, retryable: bool) -> Vec<u8> {
    let data = json!({ "code": code, "message": message, "retryable": retryable });
    format!("event: error\ndata: {data}\n\n").into_bytes()
}

fn to_json(data: &impl Serialize) -> String {
    serde_json::to_string(data).expect("plain structs of texts and numbers are JSON")
}

fn put(out: &mut Vec<u8>, text: Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Records, Run, TaskId, WorkerId, WorkerState, encode_run};

    const FRAMES: Frames = Frames { epoch: Epoch(0x1f2e_3d4c) };

    fn block() -> Block {
        let mut records = Records::default();
        records.push(Kind::Log, b"\"a\":1}");
        records.push(Kind::Status(WorkerState::Running), b"\"b\":2}");
        records.push(Kind::Gap, b"\"lines\":3}");
        let (task, worker) = (TaskId::new("t").unwrap(), WorkerId::new("w").unwrap());
        let run = Run { task: task.clone(), worker, session: None, records };
        let mut payload = Vec::new();
        encode_run(&mut payload, &run);
        Block::new(task, Offset(7), 5, (3, 1), 0, payload.into())
    }

    #[test]
    fn a_block_becomes_one_frame_an_entry_made_once_for_everyone() {
        let block = block();
        let frames = FRAMES.block(&block);
        let expected = "event: log\nid: 1f2e3d4c-7\ndata: {\"offset\":7,\"line\":5,\"a\":1}\n\n\
                        event: status\nid: 1f2e3d4c-8\ndata: {\"offset\":8,\"b\":2}\n\n\
                        event: gap\nid: 1f2e3d4c-9\ndata: {\"from\":9,\"to\":9,\"lines\":3}\n\n";
        assert_eq!(frames, expected);
        assert_eq!(FRAMES.block(&block).as_ptr(), frames.as_ptr());
    }

    #[test]
    fn a_part_of_a_block_holds_what_passes_from_the_cursor_on() {
        let part = FRAMES.part(&block(), Offset(8), |entry| entry.kind != Kind::Gap);
        assert_eq!(part.last, Some(Offset(8)));
        assert!(part.bytes.starts_with(b"event: status\nid: 1f2e3d4c-8\n"));
        let nothing = FRAMES.part(&block(), Offset(8), |_| false);
        assert_eq!((nothing.last, nothing.bytes.capacity()), (None, 0));
    }

    #[test]
    fn what_retention_took_is_a_gap_that_resumes_after_it() {
        let gap = Gap { from: Offset(1), to: Offset(6), lines: None, reason: "retention" };
        let frame = String::from_utf8(FRAMES.gap(&gap)).unwrap();
        let expected = "event: gap\nid: 1f2e3d4c-6\ndata: \
                        {\"from\":1,\"lines\":null,\"reason\":\"retention\",\"to\":6}\n\n";
        assert_eq!(frame, expected);
    }
}
