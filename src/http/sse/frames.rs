//! Writes events as the bytes of frames.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

use crate::domain::{Block, Entry, Epoch, Gap, Kind, Offset, now_ms};
use crate::encode::{format_ms, write_decimal, write_json};
use crate::http::tasks::TaskOutcome;
use crate::tasks::Task;

/// How many milliseconds a browser waits before it reconnects, drawn at random: those that a
/// restart cut off must not come back all at once.
const RETRY_MS: std::ops::RangeInclusive<u64> = 1000..=3000;

/// About how many bytes a frame adds to an entry's own: event, id, the JSON's head.
const FRAME_OVERHEAD_BYTES: usize = 80;

/// Writes frames; their ids name the store of `epoch`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frames {
    pub(super) epoch: Epoch,
}

impl Frames {
    /// Frames of all entries of `blocks`.
    pub(super) fn blocks(self, blocks: &[Arc<Block>]) -> Bytes {
        let mut out = Vec::with_capacity(blocks.iter().map(|block| likely_bytes(block)).sum());
        for block in blocks {
            self.part(&mut out, block, block.base, |_| true);
        }
        out.into()
    }

    /// Appends frames of the entries of `block` from `from` on that pass; returns the last one's
    /// offset.
    pub(super) fn part(
        self,
        out: &mut Vec<u8>,
        block: &Block,
        from: Offset,
        passes: impl Fn(&Entry<'_>) -> bool,
    ) -> Option<Offset> {
        let id_line = self.id_line();
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

    /// What stands before an entry's offset, for [`write_entry`].
    pub(super) fn id_line(self) -> String {
        format!("\nid: {}-", self.epoch)
    }

    /// Moves the reader's resume point without an event.
    pub(super) fn id_only(self, offset: Offset) -> Vec<u8> {
        format!("id: {}-{offset}\n\n", self.epoch).into_bytes()
    }

    /// Entries that are missing.
    pub(super) fn gap(self, gap: &Gap) -> Vec<u8> {
        let Gap { from, to, lines, reason } = gap;
        let data = json!({ "from": from.0, "to": to.0, "lines": lines, "reason": reason });
        self.event("gap", *to, &data)
    }

    /// The stream starts over, after `offset`.
    pub(super) fn reset(self, offset: Offset) -> Vec<u8> {
        self.event("reset", offset, &json!({ "epoch": self.epoch.to_string() }))
    }

    /// The task is complete.
    pub(super) fn complete(self, task: &Task) -> Vec<u8> {
        self.event("complete", task.summary.last_offset, &TaskOutcome::from(task))
    }

    fn event(self, name: &str, id: Offset, data: &impl Serialize) -> Vec<u8> {
        let data = to_json(data);
        format!("event: {name}\nid: {}-{id}\ndata: {data}\n\n", self.epoch).into_bytes()
    }
}

/// Tells the browser when to reconnect.
pub(super) fn retry() -> Vec<u8> {
    format!("retry: {}\n\n", fastrand::u64(RETRY_MS)).into_bytes()
}

/// Shows that the connection is alive while there is nothing to send.
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

/// About how many bytes the frames of `block` take.
pub(super) fn likely_bytes(block: &Block) -> usize {
    block.payload.len() + FRAME_OVERHEAD_BYTES * block.count as usize
}

/// Appends the frame of `entry`.
pub(super) fn write_entry(out: &mut Vec<u8>, id_line: &[u8], entry: &Entry<'_>) {
    out.extend_from_slice(match entry.kind {
        Kind::Log | Kind::Part => b"event: log",
        Kind::Gap => b"event: gap",
        Kind::Status(_) => b"event: status",
        Kind::End => b"event: end",
    });
    out.extend_from_slice(id_line);
    write_decimal(out, entry.offset.0);
    out.extend_from_slice(b"\ndata: ");
    write_json(out, entry);
    out.extend_from_slice(b"\n\n");
}

/// Appends the frame of an unfinished line with this body. It has no id: there is nothing to resume at.
pub(super) fn write_unfinished(out: &mut Vec<u8>, body: &[u8]) {
    out.extend_from_slice(b"event: partial\ndata: {");
    out.extend_from_slice(body);
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
        Block {
            task,
            base: Offset(7),
            base_line: 5,
            count: 3,
            lines: 1,
            time_ms: 0,
            payload: payload.into(),
        }
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
