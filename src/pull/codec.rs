//! Decodes responses but leaves the messages in them as bytes, so that an entry with bad bytes is
//! a bad entry and the stream goes on.

use bytes::{Buf, Bytes};
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::ProstEncoder;

use crate::proto::otto::handler::v1::PullWorkerLogsRequest;

/// `PulledLogEntry`, with the messages in it still encoded.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PullResponse {
    #[prost(uint64, tag = "1")]
    pub(super) cursor: u64,
    #[prost(string, tag = "2")]
    pub(super) epoch: String,
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub(super) entry: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub(super) status: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "5")]
    pub(super) caught_up: Option<Bytes>,
}

/// Writes `PullWorkerLogsRequest`, reads [`PullResponse`].
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct PullCodec;

/// The decoding half of [`PullCodec`].
#[derive(Debug)]
pub(super) struct PullDecoder;

impl Codec for PullCodec {
    type Encode = PullWorkerLogsRequest;
    type Decode = PullResponse;
    type Encoder = ProstEncoder<PullWorkerLogsRequest>;
    type Decoder = PullDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        PullDecoder
    }
}

impl Decoder for PullDecoder {
    type Item = PullResponse;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<PullResponse>, Status> {
        let message = buffer.copy_to_bytes(buffer.remaining());
        let response = PullResponse::decode(message).map_err(|error| {
            Status::data_loss(format!("a response is not a PulledLogEntry: {error}"))
        })?;
        Ok(Some(response))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::otto::handler::v1::pulled_log_entry::What;
    use crate::proto::otto::handler::v1::{CaughtUp, PulledLogEntry};
    use crate::proto::ottoscaler::{WorkerLogEntry, WorkerStatusNotification};

    #[test]
    fn a_response_is_read_as_the_contract_says() {
        let entry = WorkerLogEntry { worker_id: "w".into(), ..Default::default() };
        let status = WorkerStatusNotification { task_id: "t".into(), ..Default::default() };
        let bytes = |what: &What| match what {
            What::Entry(entry) => entry.encode_to_vec(),
            What::Status(status) => status.encode_to_vec(),
            What::CaughtUp(caught_up) => caught_up.encode_to_vec(),
        };
        for what in [What::Entry(entry), What::Status(status), What::CaughtUp(CaughtUp {})] {
            let what_bytes = Some(Bytes::from(bytes(&what)));
            let expected = match &what {
                What::Entry(_) => PullResponse { entry: what_bytes, ..PullResponse::default() },
                What::Status(_) => PullResponse { status: what_bytes, ..PullResponse::default() },
                What::CaughtUp(_) => {
                    PullResponse { caught_up: what_bytes, ..PullResponse::default() }
                }
            };
            let expected = PullResponse { cursor: 7, epoch: "e".into(), ..expected };
            let wire = PulledLogEntry { cursor: 7, epoch: "e".into(), what: Some(what) };
            assert_eq!(PullResponse::decode(&wire.encode_to_vec()[..]), Ok(expected));
        }
    }
}
