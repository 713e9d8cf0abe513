//! Types, clients and servers generated from `proto/`, and the descriptors for reflection.
#![allow(missing_docs, unreachable_pub, clippy::all)]

/// Package `ottoscaler.v1`: the contract with ottoscaler.
pub mod ottoscaler {
    pub use v1::*;

    // Where code generated for other packages looks for it.
    pub mod v1 {
        tonic::include_proto!("ottoscaler.v1");
    }
}

/// Packages of this project's own.
pub mod otto {
    pub mod handler {
        /// Package `otto.handler.v1`: how logs are pulled.
        pub mod v1 {
            tonic::include_proto!("otto.handler.v1");
        }
    }
}

impl From<ottoscaler::worker_status_notification::StatusType> for crate::domain::WorkerState {
    fn from(status: ottoscaler::worker_status_notification::StatusType) -> Self {
        use ottoscaler::worker_status_notification::StatusType;
        match status {
            StatusType::Created => Self::Created,
            StatusType::Running => Self::Running,
            StatusType::Completed => Self::Completed,
            StatusType::Failed => Self::Failed,
            StatusType::Terminated => Self::Terminated,
        }
    }
}

/// A status number that the contract does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("status is {0}, it needs 0 (CREATED) to 4 (TERMINATED)")]
pub struct UnknownStatus(i32);

impl<'a> TryFrom<&'a ottoscaler::WorkerStatusNotification> for crate::encode::StatusParts<'a> {
    type Error = UnknownStatus;

    fn try_from(
        notification: &'a ottoscaler::WorkerStatusNotification,
    ) -> Result<Self, UnknownStatus> {
        use ottoscaler::worker_status_notification::StatusType;
        let status = notification.status;
        let state = StatusType::try_from(status).map_err(|_| UnknownStatus(status))?;
        let pairs = notification.metadata.iter();
        let mut metadata: Vec<_> =
            pairs.map(|(key, value)| (key.as_str(), value.as_str())).collect();
        metadata.sort_unstable();
        Ok(Self {
            task_id: &notification.task_id,
            worker_id: &notification.worker_id,
            state: state.into(),
            timestamp: &notification.timestamp,
            reason: &notification.reason,
            metadata,
        })
    }
}

/// A status notification in `wire`. Where a text in it is not UTF-8, that is replaced and marked.
///
/// # Errors
/// When it is something else.
pub fn decode_notification(
    wire: &[u8],
) -> Result<ottoscaler::WorkerStatusNotification, prost::DecodeError> {
    use prost::Message;
    ottoscaler::WorkerStatusNotification::decode(wire).or_else(|error| {
        let repaired = crate::encode::repair_status(wire).map_err(|_malformed| error)?;
        ottoscaler::WorkerStatusNotification::decode(&repaired[..])
    })
}

/// The compiled descriptors of everything under `proto/`.
pub const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("otto_handler_descriptor");
