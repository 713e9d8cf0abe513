//! What a pushing client reads of HTTP/2 (RFC 9113): frames are split, ACKs counted, not decoded.

use anyhow::{Result, bail, ensure};

pub(crate) use super::http2_frames::{
    ACK, DATA, HEADER_BYTES, INITIAL_WINDOW, SETTINGS, WINDOW_UPDATE, put_frame, put_preface,
    put_request,
};
use super::http2_frames::{GOAWAY, GREATEST_WINDOW, RST_STREAM, SETTINGS_INITIAL_WINDOW_SIZE};

pub(crate) const PING: u8 = 6;

/// A frame as received.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: &'a [u8],
}

/// Splits a frame off the front; `None` while it is not complete.
pub fn split_frame<'a>(rest: &mut &'a [u8]) -> Option<Frame<'a>> {
    let (head, after) = rest.split_first_chunk::<HEADER_BYTES>()?;
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

/// Counts the ACKs in one stream's DATA frames.
#[derive(Debug, Clone, Default)]
pub struct AckCounter {
    /// Bytes still to come of a message whose prefix has been read.
    left: usize,
    /// The message's prefix, as far as it has been read.
    prefix: Vec<u8>,
    pub count: u64,
}

impl AckCounter {
    /// Takes a DATA payload; returns how many ACKs ended in it.
    ///
    /// # Errors
    /// When a response is not an ACK.
    pub fn take(&mut self, mut payload: &[u8]) -> Result<u64> {
        let before = self.count;
        while !payload.is_empty() {
            if self.left == 0 {
                let wanted = (5 - self.prefix.len()).min(payload.len());
                self.prefix.extend_from_slice(&payload[..wanted]);
                payload = &payload[wanted..];
                if self.prefix.len() < 5 {
                    break;
                }
                self.left = u32::from_be_bytes([
                    self.prefix[1],
                    self.prefix[2],
                    self.prefix[3],
                    self.prefix[4],
                ]) as usize;
                self.prefix.clear();
                // `status` is the first field. ACK is 0, which is either left out or sent as 0.
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

/// Fails on a frame after which nothing can be measured.
///
/// # Errors
/// When the server closes the connection or resets a stream.
pub fn check_not_ended(frame: &Frame<'_>) -> Result<()> {
    match frame.kind {
        GOAWAY => bail!("GOAWAY: {}", String::from_utf8_lossy(frame.payload)),
        RST_STREAM => bail!("stream {} was reset", frame.stream),
        _ => Ok(()),
    }
}
