//! HTTP/2 as far as pushing needs it (RFC 9113): frames built ahead, copied out in turn, held
//! back by the peer's windows. Answers are counted, not decoded.

use anyhow::{Result, bail, ensure};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const FORWARD_PATH: &str = "/ottoscaler.v1.OttoHandlerLogService/ForwardWorkerLogs";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;

pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const HEAD_BYTES: usize = 9;
/// A stream's and a connection's window until the peer says otherwise.
pub const INITIAL_WINDOW: i64 = 65_535;
/// The greatest window: what we grant, so that answers are never held back.
pub const GREATEST_WINDOW: u32 = (1 << 31) - 1;
const SETTINGS_INITIAL_WINDOW_SIZE: u16 = 4;

/// Appends a frame.
pub fn put_frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    put_head(out, payload.len(), kind, flags, stream);
    out.extend_from_slice(payload);
}

/// Appends a frame's head.
pub fn put_head(out: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    out.extend_from_slice(&(length as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
}

/// What a client says first: preface, settings, and room for every answer.
pub fn put_greeting(out: &mut Vec<u8>) {
    out.extend_from_slice(PREFACE);
    let mut setting = SETTINGS_INITIAL_WINDOW_SIZE.to_be_bytes().to_vec();
    setting.extend_from_slice(&GREATEST_WINDOW.to_be_bytes());
    put_frame(out, SETTINGS, 0, 0, &setting);
    let more = GREATEST_WINDOW - INITIAL_WINDOW as u32;
    put_frame(out, WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
}

/// Appends the head of a pushing request, in HPACK without compression (RFC 7541 §6.2.2).
pub fn put_request(out: &mut Vec<u8>, stream: u32) {
    // `:method: POST` and `:scheme: http` stand in the static table; the other names too.
    let mut block = vec![0x83, 0x86];
    let mut named = |name: &[u8], value: &str| {
        block.extend_from_slice(name);
        block.push(value.len() as u8);
        block.extend_from_slice(value.as_bytes());
    };
    named(&[0x04], FORWARD_PATH);
    named(&[0x01], "localhost");
    named(&[0x0f, 0x10], "application/grpc");
    named(b"\x00\x02te", "trailers");
    put_frame(out, HEADERS, END_HEADERS, stream, &block);
}

/// A frame as received.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: &'a [u8],
}

/// Cuts a frame off the front; `None` where it is not complete yet.
pub fn split_frame<'a>(rest: &mut &'a [u8]) -> Option<Frame<'a>> {
    let (head, after) = rest.split_first_chunk::<HEAD_BYTES>()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let (payload, after) = after.split_at_checked(length)?;
    *rest = after;
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & GREATEST_WINDOW;
    Some(Frame { kind: head[3], flags: head[4], stream, payload })
}

/// The initial stream window that a SETTINGS payload sets, if it does.
pub fn initial_window(payload: &[u8]) -> Option<i64> {
    let settings = payload.chunks_exact(6);
    settings
        .filter(|setting| setting[..2] == SETTINGS_INITIAL_WINDOW_SIZE.to_be_bytes())
        .map(|setting| {
            i64::from(u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]))
        })
        .next_back()
}

/// Counts the gRPC messages of one stream's DATA frames.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// What is left of a message whose head is known.
    left: usize,
    head: Vec<u8>,
    pub count: u64,
}

impl Answers {
    /// Takes a DATA payload; returns how many messages ended in it.
    ///
    /// # Errors
    /// An answer that is no ACK.
    pub fn take(&mut self, mut payload: &[u8]) -> Result<u64> {
        let before = self.count;
        while !payload.is_empty() {
            if self.left == 0 {
                let wanted = (5 - self.head.len()).min(payload.len());
                self.head.extend_from_slice(&payload[..wanted]);
                payload = &payload[wanted..];
                if self.head.len() < 5 {
                    break;
                }
                self.left =
                    u32::from_be_bytes([self.head[1], self.head[2], self.head[3], self.head[4]])
                        as usize;
                self.head.clear();
                // `status` is the first field; ACK, being 0, is not sent, or is sent as 0.
                let is_ack = payload.first() != Some(&0x08) || payload.get(1) == Some(&0);
                ensure!(is_ack, "an entry was not acknowledged");
            }
            let taken = self.left.min(payload.len());
            self.left -= taken;
            payload = &payload[taken..];
            self.count += u64::from(self.left == 0);
        }
        Ok(self.count - before)
    }
}

/// Frames after which there is nothing to measure.
pub fn refuse_end(frame: &Frame<'_>) -> Result<()> {
    match frame.kind {
        GOAWAY => bail!("GOAWAY: {}", String::from_utf8_lossy(frame.payload)),
        RST_STREAM => bail!("stream {} was reset", frame.stream),
        _ => Ok(()),
    }
}
