//! Reads answers without reading what is in them: an entry with bad bytes is a bad entry, not
//! the end of the stream.

use bytes::{Buf, Bytes};
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::ProstEncoder;

use crate::proto::otto::handler::v1::PullWorkerLogsRequest;

/// `PulledLogEntry` with its messages as they stand on the wire.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Answer {
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

/// Writes `PullWorkerLogsRequest`, reads [`Answer`].
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct PullCodec;

/// The decoding half of [`PullCodec`].
#[derive(Debug)]
pub(super) struct AnswerDecoder;

impl Codec for PullCodec {
    type Encode = PullWorkerLogsRequest;
    type Decode = Answer;
    type Encoder = ProstEncoder<PullWorkerLogsRequest>;
    type Decoder = AnswerDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        AnswerDecoder
    }
}

impl Decoder for AnswerDecoder {
    type Item = Answer;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Answer>, Status> {
        let message = buffer.copy_to_bytes(buffer.remaining());
        let answer = Answer::decode(message).map_err(|error| {
            Status::data_loss(format!("an answer is no PulledLogEntry: {error}"))
        })?;
        Ok(Some(answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::otto::handler::v1::pulled_log_entry::What;
    use crate::proto::otto::handler::v1::{CaughtUp, PulledLogEntry};
    use crate::proto::ottoscaler::{WorkerLogEntry, WorkerStatusNotification};

    #[test]
    fn an_answer_is_what_the_contract_says() {
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
                What::Entry(_) => Answer { entry: what_bytes, ..Answer::default() },
                What::Status(_) => Answer { status: what_bytes, ..Answer::default() },
                What::CaughtUp(_) => Answer { caught_up: what_bytes, ..Answer::default() },
            };
            let expected = Answer { cursor: 7, epoch: "e".into(), ..expected };
            let wire = PulledLogEntry { cursor: 7, epoch: "e".into(), what: Some(what) };
            assert_eq!(Answer::decode(&wire.encode_to_vec()[..]), Ok(expected));
        }
    }
}
