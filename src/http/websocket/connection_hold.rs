//! What keeps a connection known to the server after a WebSocket has taken it over.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::connections::ConnectionPermit;

/// While it is held, the connection is counted and the server waits for it. Clones share it.
#[derive(Clone)]
pub(in crate::http) struct ConnectionHold {
    _permit: Arc<ConnectionPermit>,
    _running: TaskTrackerToken,
    /// The connection is to end now.
    pub(in crate::http) disconnect: CancellationToken,
}

impl ConnectionHold {
    pub(in crate::http) fn new(
        permit: ConnectionPermit,
        running: TaskTrackerToken,
        disconnect: CancellationToken,
    ) -> Self {
        Self { _permit: Arc::new(permit), _running: running, disconnect }
    }
}
