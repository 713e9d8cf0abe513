//! Events as bytes.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

use crate::domain::Gap;
use crate::domain::{Block, Entry, Epoch, Kind, Offset, now_ms};
use crate::encode::format_ms;
use crate::encode::{write_decimal, write_json};
use crate::http::tasks::Verdict;
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

impl Frames {
    /// All of `blocks`.
    pub(super) fn blocks(self, blocks: &[Arc<Block>]) -> Bytes {
        let mut out = Vec::with_capacity(blocks.iter().map(|block| likely_bytes(block)).sum());
        for block in blocks {
            self.part(&mut out, block, block.base, |_| true);
        }
        out.into()
    }

    /// Appends what of `block` stands at or after `from` and passes; returns the last of it.
    pub(super) fn part(
        self,
        out: &mut Vec<u8>,
        block: &Block,
        from: Offset,
        passes: impl Fn(&Entry<'_>) -> bool,
    ) -> Option<Offset> {
        let id_line = format!("\nid: {}-", self.epoch);
        let mut last = None;
        let entries = block.entries().filter(|entry| entry.offset >= from && passes(entry));
        for entry in entries {
            if last.is_none() {
                out.reserve(likely_bytes(block));
            }
            write_entry(out, id_line.as_bytes(), &entry);
            last = Some(entry.offset);
        }
        last
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

fn likely_bytes(block: &Block) -> usize {
    block.payload.len() + FRAME_OVERHEAD_BYTES * block.count as usize
}

fn write_entry(out: &mut Vec<u8>, id_line: &[u8], entry: &Entry<'_>) {
    out.extend_from_slice(match entry.kind {
        Kind::Log => b"event: log",
        Kind::Gap => b"event: gap",
        Kind::Status(_) => b"event: status",
    });
    out.extend_from_slice(id_line);
    write_decimal(out, entry.offset.0);
    out.extend_from_slice(b"\ndata: ");
    write_json(out, entry);
    out.extend_from_slice(b"\n\n");
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
    fn a_block_becomes_one_frame_an_entry() {
        let frames = FRAMES.blocks(&[Arc::new(block())]);
        let expected = "event: log\nid: 1f2e3d4c-7\ndata: {\"offset\":7,\"line\":5,\"a\":1}\n\n\
                        event: status\nid: 1f2e3d4c-8\ndata: {\"offset\":8,\"b\":2}\n\n\
                        event: gap\nid: 1f2e3d4c-9\ndata: {\"from\":9,\"to\":9,\"lines\":3}\n\n";
        assert_eq!(frames, expected);
    }

    #[test]
    fn the_frames_of_several_blocks_are_those_of_each() {
        let mut parts = Vec::new();
        FRAMES.part(&mut parts, &block(), Offset(1), |_| true);
        FRAMES.part(&mut parts, &block(), Offset(1), |_| true);
        let blocks = [Arc::new(block()), Arc::new(block())];
        assert_eq!(FRAMES.blocks(&blocks), parts);
    }

    #[test]
    fn a_part_of_a_block_holds_what_passes_from_the_cursor_on() {
        let mut part = Vec::new();
        let last = FRAMES.part(&mut part, &block(), Offset(8), |entry| entry.kind != Kind::Gap);
        assert_eq!(last, Some(Offset(8)));
        assert!(part.starts_with(b"event: status\nid: 1f2e3d4c-8\n"));
        let mut nothing = Vec::new();
        assert_eq!(FRAMES.part(&mut nothing, &block(), Offset(8), |_| false), None);
        assert_eq!(nothing.capacity(), 0);
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
