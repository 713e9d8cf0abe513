//! Decodes statuses, also those in whose texts not all is UTF-8.

use bytes::Buf;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::ProstEncoder;

use crate::proto::decode_notification;
use crate::proto::ottoscaler::{WorkerStatusAck, WorkerStatusNotification};

/// Reads `WorkerStatusNotification`, writes `WorkerStatusAck`.
#[derive(Debug, Default, Clone, Copy)]
pub(in crate::grpc) struct StatusCodec;

/// The decoding half of [`StatusCodec`].
#[derive(Debug)]
pub(in crate::grpc) struct StatusDecoder;

impl Codec for StatusCodec {
    type Encode = WorkerStatusAck;
    type Decode = WorkerStatusNotification;
    type Encoder = ProstEncoder<WorkerStatusAck>;
    type Decoder = StatusDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        StatusDecoder
    }
}

impl Decoder for StatusDecoder {
    type Item = WorkerStatusNotification;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        let wire = buffer.copy_to_bytes(buffer.remaining());
        let decoded = decode_notification(&wire);
        decoded.map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
