//! A codec that reads log entries straight into what the log keeps.

use std::marker::PhantomData;

use bytes::Buf;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::ProstEncoder;

use crate::encode::{Layout, Stamp};
use crate::ingest::{EntryReader, Item};
use crate::proto::ottoscaler::{LogForwardResponse, LogResponse};

/// Reads entries, writes responses of type `R`.
///
/// The entry never becomes a message struct: the scan, the checks and the encoding for readers
/// happen in one pass over the transport's buffer.
#[derive(Debug, Clone, Copy)]
pub struct EntryCodec<R>(PhantomData<R>);

/// Reads `WorkerLogEntry`, writes `LogForwardResponse`.
pub type ForwardCodec = EntryCodec<LogForwardResponse>;

/// Reads `LogEntry`, writes `LogResponse`.
pub type StreamCodec = EntryCodec<LogResponse>;

/// A response, which tells what the entries that it answers look like.
pub trait Response: prost::Message + Send + 'static {
    /// Their layout.
    const ENTRY: Layout;
}

impl Response for LogForwardResponse {
    const ENTRY: Layout = Layout::WorkerLogEntry;
}

impl Response for LogResponse {
    const ENTRY: Layout = Layout::LogEntry;
}

impl<R> Default for EntryCodec<R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

/// The decoding half of [`EntryCodec`].
#[derive(Debug)]
pub struct EntryDecoder {
    reader: EntryReader,
    clock: Stamp,
}

impl<R: Response> Codec for EntryCodec<R> {
    type Encode = R;
    type Decode = Item;
    type Encoder = ProstEncoder<R>;
    type Decoder = EntryDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        EntryDecoder { reader: EntryReader::new(R::ENTRY), clock: Stamp::now() }
    }
}

impl Decoder for EntryDecoder {
    type Item = Item;
    type Error = Status;

    /// A message that is no entry is an item too: it is refused and the stream goes on.
    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Item>, Status> {
        self.clock.refresh();
        let received_at = self.clock.as_str();
        let length = buffer.remaining();
        // The transport's buffer is contiguous; the copy is for the day it is not.
        let item = if buffer.chunk().len() == length {
            let item = self.reader.read(buffer.chunk(), received_at);
            buffer.advance(length);
            item
        } else {
            self.reader.read(&buffer.copy_to_bytes(length), received_at)
        };
        Ok(Some(item))
    }
}
