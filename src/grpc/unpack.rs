//! Messages that are packed with gzip (RFC 1952).
//!
//! A packed message ends with the length of what is in it. Memory is reserved for that length
//! before it is unpacked, and unpacking stops there: a message with more in it than it says ends its
//! call. A long one is unpacked in turns, so that other streams of the thread go on.

use std::io::Read;

use bytes::buf::Reader;
use bytes::{Buf, Bytes};
use flate2::bufread::GzDecoder;
use tonic::Status;

/// The shortest gzip file: a header and a trailer around an empty block.
const LEAST_BYTES: usize = 20;

/// Deflate packs no better than so many bytes into one.
const MAX_RATIO: usize = 1032;

/// What is unpacked at a time, in bytes.
const TURN_BYTES: usize = 256 * 1024;

/// What the decoder itself takes, in bytes.
const DECODER_BYTES: usize = 48 * 1024;

/// A packed message that has arrived.
#[derive(Debug)]
pub(super) struct PackedMessage {
    bytes: Bytes,
    length: usize,
}

/// The most that a packed message of `length` bytes takes with what is in it, if that may be
/// `max_bytes` long.
pub(super) fn most_bytes(length: usize, max_bytes: usize) -> usize {
    length + length.saturating_mul(MAX_RATIO).min(max_bytes) + DECODER_BYTES
}

impl PackedMessage {
    /// # Errors
    /// When the bytes cannot be gzip.
    pub(super) fn new(bytes: Bytes) -> Result<Self, Status> {
        let length = bytes.last_chunk().map(|chunk| u32::from_le_bytes(*chunk) as usize);
        match length.filter(|_| bytes.len() >= LEAST_BYTES) {
            Some(length) if length <= bytes.len().saturating_mul(MAX_RATIO) => {
                Ok(Self { bytes, length })
            }
            _ => Err(malformed("its length is impossible")),
        }
    }

    /// The length of what is in it, as it says.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// The memory that unpacking takes, in bytes. What is unpacked at once needs none for the
    /// decoder, which is gone when others run.
    pub(super) fn needed_bytes(&self) -> usize {
        if self.length <= TURN_BYTES { self.length } else { self.length + DECODER_BYTES }
    }

    /// The first bytes of what is in it, `most` at most.
    pub(super) fn beginning(&self, most: usize) -> Vec<u8> {
        let mut beginning = Vec::new();
        let decoder = GzDecoder::new(self.bytes.clone().reader());
        // As much as can be read: it is for the ids alone.
        decoder.take(most as u64).read_to_end(&mut beginning).ok();
        beginning
    }

    /// Begins to unpack; the memory must have been reserved.
    pub(super) fn unpack(self) -> Unpacking {
        let Self { bytes, length } = self;
        Unpacking {
            decoder: GzDecoder::new(bytes.reader()),
            message: Vec::with_capacity(length),
            length,
        }
    }
}

/// A message that is being unpacked.
#[derive(Debug)]
pub(super) struct Unpacking {
    decoder: GzDecoder<Reader<Bytes>>,
    message: Vec<u8>,
    length: usize,
}

impl Unpacking {
    /// Unpacks on; ready with the message, or `None` where others should have their turn first.
    ///
    /// # Errors
    /// When it is damaged, or not as long as it says.
    pub(super) fn turn(&mut self) -> Result<Option<Vec<u8>>, Status> {
        let left = self.length - self.message.len();
        // One byte more than there may be, to see the end, and that there is nothing behind it.
        let wanted = if left <= TURN_BYTES { left + 1 } else { TURN_BYTES };
        let mut turn = Read::by_ref(&mut self.decoder).take(wanted as u64);
        let read = turn.read_to_end(&mut self.message).map_err(|error| malformed(&error))?;
        if read > left {
            return Err(malformed("there is more in it than it says"));
        }
        if left > TURN_BYTES && read == wanted {
            return Ok(None);
        }
        if read < left {
            return Err(malformed("there is less in it than it says"));
        }
        if self.decoder.get_ref().get_ref().has_remaining() {
            return Err(malformed("something stands behind it"));
        }
        Ok(Some(std::mem::take(&mut self.message)))
    }
}

fn malformed(reason: impl std::fmt::Display) -> Status {
    Status::internal(format!("a message cannot be unpacked with gzip: {reason}"))
}

/// Unpacks a message with at most `limit` bytes in it at once.
///
/// # Errors
/// When there is more in it, or it is damaged.
pub(super) fn unpack_short(bytes: Bytes, limit: usize) -> Result<Vec<u8>, Status> {
    let packed = PackedMessage::new(bytes)?;
    let length = packed.length();
    if length > limit {
        let reason = format!("a message is {length} bytes, the limit is {limit}");
        return Err(Status::resource_exhausted(reason));
    }
    let mut unpacking = packed.unpack();
    loop {
        if let Some(message) = unpacking.turn()? {
            return Ok(message);
        }
    }
}

#[cfg(test)]
pub(super) fn pack(message: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(message).unwrap();
    encoder.finish().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>, String> {
        unpack_short(bytes.into(), limit).map_err(|status| status.message().to_owned())
    }

    #[test]
    fn messages_of_every_length_are_unpacked() {
        let text: Vec<u8> = (0..3 * TURN_BYTES).map(|n| (n % 251) as u8).collect();
        for length in [0, 1, 100, TURN_BYTES - 1, TURN_BYTES, TURN_BYTES + 1, 3 * TURN_BYTES] {
            let message = &text[..length];
            assert_eq!(unpacked(pack(message), length), Ok(message.to_vec()), "{length}");
            if length > 0 {
                let refused = unpacked(pack(message), length - 1).unwrap_err();
                assert!(refused.contains(&format!("a message is {length} bytes")), "{refused}");
            }
        }
    }

    #[test]
    fn a_message_that_lies_about_its_length_is_unpacked_no_further() {
        for length in [1000_usize, 600 * 1024] {
            let honest = pack(&vec![b'x'; length]);
            for (said, expected) in [(length - 1, "more"), (length + 1, "less"), (10, "more")] {
                let mut lying = honest.clone();
                let trailer = lying.len() - 4;
                lying[trailer..].copy_from_slice(&(said as u32).to_le_bytes());
                let refused = unpacked(lying, usize::MAX).unwrap_err();
                let is_told = refused.contains(expected) || refused.contains("corrupt");
                assert!(is_told, "{length} said to be {said}: {refused}");
            }
        }
    }

    #[test]
    fn what_is_no_gzip_or_more_than_that_is_refused() {
        let good = pack(b"a message");
        let mut flipped = good.clone();
        flipped[12] ^= 0xff;
        let behind = [&good[..], &good].concat();
        for bad in
            [vec![], vec![0; 12], b"a text that is not packed at all".to_vec(), flipped, behind]
        {
            let shown = format!("{bad:?}");
            let refused = unpacked(bad, 1 << 20).expect_err(&shown);
            assert!(refused.starts_with("a message cannot be unpacked with gzip: "), "{refused}");
        }
    }
}
