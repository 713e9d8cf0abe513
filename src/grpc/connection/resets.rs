//! Tells streams that their peer ended from those that it cut.
//!
//! A peer that cancels a call resets its stream (`RST_STREAM`, RFC 9113 §6.4). hyper reads that as
//! an ordinary end of the body, whether the peer had ended its side before (`END_STREAM`) or not: a
//! stream whose sender was cut off in the middle looks like one that was sent whole. So the frames
//! are watched on their way to h2, and the reset of a stream that its peer has not ended gets
//! another error code, which hyper reports as an error of the body.

use std::collections::{HashSet, VecDeque};

/// What a client sends before its first frame (RFC 9113 §3.4).
const PREFACE_BYTES: usize = 24;

/// Bytes of a frame's head (RFC 9113 §4.1).
const HEAD_BYTES: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 1;

/// The code that a reset gets (RFC 9113 §7); hyper takes `NO_ERROR` and `CANCEL` for an end.
const INTERNAL_ERROR: u8 = 2;
const TAKEN_FOR_AN_END: [[u8; 4]; 2] = [[0, 0, 0, 0], [0, 0, 0, 8]];

/// So many streams are remembered that their peer has ended; more than may be open at once.
const MAX_ENDED: usize = 2048;

/// Watches what is read of a connection: where in the frames it stands.
pub(super) struct ResetWatch {
    /// Bytes that are passed over: the preface, or what is left of a frame.
    skip: usize,
    head: [u8; HEAD_BYTES],
    head_bytes: usize,
    /// The code of a reset that is being read, of a stream that its peer has not ended.
    code: Option<ResetCode>,
    ended: HashSet<u32>,
    /// The same in order.
    ended_in_order: VecDeque<u32>,
}

/// The bytes of an error code so far.
#[derive(Default)]
struct ResetCode {
    bytes: [u8; 4],
    read: usize,
}

impl Default for ResetWatch {
    fn default() -> Self {
        Self {
            skip: PREFACE_BYTES,
            head: [0; HEAD_BYTES],
            head_bytes: 0,
            code: None,
            ended: HashSet::new(),
            ended_in_order: VecDeque::new(),
        }
    }
}

impl ResetWatch {
    /// Looks at what was read next, and changes the codes of resets in it.
    pub(super) fn watch(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let taken = match &mut self.code {
                Some(_) => self.read_code(bytes),
                None if self.skip > 0 => {
                    let taken = self.skip.min(bytes.len());
                    self.skip -= taken;
                    taken
                }
                None if self.head_bytes == 0 => self.pass_over_whole_frames(bytes),
                None => self.read_head(bytes),
            };
            bytes = &mut bytes[taken..];
        }
    }

    /// Reads heads while they are whole and of frames that need no further look: nearly all are. Takes
    /// something, where there is something.
    fn pass_over_whole_frames(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(head) = bytes.get(at..).and_then(|rest| rest.first_chunk::<HEAD_BYTES>()) {
            let [l0, l1, l2, kind, flags, ..] = *head;
            if kind == RST_STREAM || flags & END_STREAM != 0 {
                break;
            }
            at += HEAD_BYTES + u32::from_be_bytes([0, l0, l1, l2]) as usize;
        }
        match at {
            0 => self.read_head(bytes),
            _ => {
                self.skip = at.saturating_sub(bytes.len());
                at.min(bytes.len())
            }
        }
    }

    fn read_head(&mut self, bytes: &[u8]) -> usize {
        let taken = (HEAD_BYTES - self.head_bytes).min(bytes.len());
        self.head[self.head_bytes..self.head_bytes + taken].copy_from_slice(&bytes[..taken]);
        self.head_bytes += taken;
        if self.head_bytes == HEAD_BYTES {
            self.head_bytes = 0;
            self.on_head();
        }
        taken
    }

    fn on_head(&mut self) {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = self.head;
        let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        let stream = u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]);
        match kind {
            DATA | HEADERS if flags & END_STREAM != 0 => self.note_end(stream),
            RST_STREAM if length == 4 && !self.ended.contains(&stream) => {
                self.code = Some(ResetCode::default());
                return;
            }
            _ => {}
        }
        self.skip = length;
    }

    fn note_end(&mut self, stream: u32) {
        if self.ended.insert(stream) {
            self.ended_in_order.push_back(stream);
        }
        if self.ended_in_order.len() > MAX_ENDED
            && let Some(oldest) = self.ended_in_order.pop_front()
        {
            self.ended.remove(&oldest);
        }
    }

    /// Reads one byte of a code; changes the last one where the code would be taken for an end.
    fn read_code(&mut self, bytes: &mut [u8]) -> usize {
        let Some(code) = &mut self.code else { return 0 };
        code.bytes[code.read] = bytes[0];
        code.read += 1;
        if code.read == code.bytes.len() {
            if TAKEN_FOR_AN_END.contains(&code.bytes) {
                bytes[0] = INTERNAL_ERROR;
            }
            self.code = None;
        }
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        [&head, payload].concat()
    }

    fn reset(stream: u32, code: u8) -> Vec<u8> {
        frame(RST_STREAM, 0, stream, &[0, 0, 0, code])
    }

    /// What h2 gets of `wire`, read in pieces of `bytes`.
    fn watched(wire: &[u8], bytes: usize) -> Vec<u8> {
        let mut frames = ResetWatch::default();
        let mut wire = [&[b'P'; PREFACE_BYTES], wire].concat();
        wire.chunks_mut(bytes).for_each(|piece| frames.watch(piece));
        wire.split_off(PREFACE_BYTES)
    }

    #[test]
    fn a_reset_before_the_end_gets_another_code_and_one_after_it_keeps_its_own() {
        let cancel = 8;
        let before = [
            frame(HEADERS, 4, 1, b"headers"),
            frame(DATA, 0, 1, &[RST_STREAM; 300]),
            reset(1, cancel),
            frame(HEADERS, 4, 3, b""),
            frame(DATA, END_STREAM, 3, b"data"),
            reset(3, cancel),
            frame(HEADERS, 4 | END_STREAM, 5, b"x"),
            reset(5, 0),
            reset(7, 0),
            reset(9, 11),
        ];
        let mut after = before.clone();
        *after[2].last_mut().unwrap() = INTERNAL_ERROR;
        *after[8].last_mut().unwrap() = INTERNAL_ERROR;
        for bytes in 1..=before.concat().len() {
            assert_eq!(watched(&before.concat(), bytes), after.concat(), "pieces of {bytes}");
        }
    }

    #[test]
    fn what_is_remembered_of_ended_streams_is_bounded() {
        let mut frames = ResetWatch::default();
        frames.watch(&mut [0; PREFACE_BYTES]);
        for stream in 0..3 * MAX_ENDED as u32 {
            frames.watch(&mut frame(DATA, END_STREAM, stream, b""));
        }
        assert_eq!((frames.ended.len(), frames.ended_in_order.len()), (MAX_ENDED, MAX_ENDED));
    }
}
