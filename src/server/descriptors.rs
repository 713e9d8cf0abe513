//! File descriptors: how many this process may have open, and how many of them are for connections.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that the store and everything else may open later, beside the segment files that
/// stay open for reading: segments that are begun, names that are made durable, a pull, connections to
/// the metrics' own port.
const RESERVED: usize = 40;

/// The part of all descriptors that segment files may take which stay open for reading.
const OPEN_SEGMENTS_DIVISOR: usize = 8;

/// Segment files that stay open for reading, at most.
const MAX_OPEN_SEGMENTS: usize = 64;

/// With fewer connections than this a warning says how to get more.
const FEW_CONNECTIONS: usize = 100;

/// What is counted as open where the system does not tell.
const ASSUMED_OPEN: usize = 64;

/// The descriptors of this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Descriptors {
    limit: usize,
}

impl Descriptors {
    /// Raises the soft limit to the hard one.
    pub(crate) fn raise() -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
        if let Err(error) = &raised {
            tracing::warn!(%error, "the limit of open files could not be raised");
        }
        let limit = if raised.is_ok() { maximum } else { current };
        Self { limit: limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX) }
    }

    /// How many segment files may stay open for reading.
    pub(super) fn open_segments(self) -> usize {
        (self.limit / OPEN_SEGMENTS_DIVISOR).clamp(1, MAX_OPEN_SEGMENTS)
    }

    /// How many connections may be open, beside what is open now and what is reserved.
    pub(super) fn connections(self) -> usize {
        let taken = open_now() + self.open_segments() + RESERVED;
        let connections = self.limit.saturating_sub(taken).max(1);
        let limit = self.limit;
        if connections < FEW_CONNECTIONS {
            tracing::warn!(limit, connections, "few open files are allowed: raise ulimit -n");
        } else {
            tracing::debug!(limit, connections, "open files");
        }
        connections
    }
}

/// How many descriptors are open now.
fn open_now() -> usize {
    fs::read_dir("/proc/self/fd").map_or(ASSUMED_OPEN, Iterator::count)
}
