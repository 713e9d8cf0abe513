//! A codec that reads log entries straight into what the log keeps.

use bytes::Buf;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::ProstEncoder;

use crate::encode::Layout;
use crate::ingest::{EntryReader, Item};
use crate::proto::ottoscaler::LogForwardResponse;

/// Reads `WorkerLogEntry`, writes `LogForwardResponse`.
///
/// The entry never becomes a message struct: the scan, the checks and the encoding for readers
/// happen in one pass over the transport's buffer.
#[derive(Debug, Default, Clone, Copy)]
pub struct EntryCodec;

/// The decoding half of [`EntryCodec`].
#[derive(Debug)]
pub struct EntryDecoder(EntryReader);

impl Codec for EntryCodec {
    type Encode = LogForwardResponse;
    type Decode = Item;
    type Encoder = ProstEncoder<LogForwardResponse>;
    type Decoder = EntryDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        EntryDecoder(EntryReader::new(Layout::WorkerLogEntry))
    }
}

impl Decoder for EntryDecoder {
    type Item = Item;
    type Error = Status;

    /// A message that is no entry is an item too: it is refused and the stream goes on.
    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Item>, Status> {
        let length = buffer.remaining();
        // The transport's buffer is contiguous; the copy is for the day it is not.
        let item = if buffer.chunk().len() == length {
            let item = self.0.read(buffer.chunk());
            buffer.advance(length);
            item
        } else {
            self.0.read(&buffer.copy_to_bytes(length))
        };
        Ok(Some(item))
    }
}
