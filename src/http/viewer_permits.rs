//! How many viewers may be connected at once, and what they were sent.

use std::sync::Arc;

use super::problem::Problem;
use crate::counter::Counter;
use crate::metrics::TransportStats;
use crate::permits::{Permit, Permits};

/// By which way a viewer is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// Server-sent events.
    Sse,
    /// WebSocket.
    WebSocket,
}

/// What the reasons of gaps are that viewers are told; the last stands for any other.
const GAP_REASONS: [&str; 7] =
    ["crash", "damage", "deleted", "memory", "retention", "task_limit", "other"];

/// The permits of all viewers. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct ViewerPermits(Arc<SharedPermits>);

#[derive(Debug)]
struct SharedPermits {
    permits: Permits,
    refused: Counter,
    transports: [TransportCounters; Transport::ALL.len()],
    gaps: [Counter; GAP_REASONS.len()],
}

#[derive(Debug, Default)]
struct TransportCounters {
    opened: Counter,
    closed: Counter,
    entries: Counter,
    bytes: Counter,
}

/// Allows one viewer to be connected, until it is dropped.
#[derive(Debug)]
pub(super) struct ViewerPermit {
    shared: Arc<SharedPermits>,
    transport: Transport,
    _permit: Permit,
}

impl Transport {
    const ALL: [Self; 2] = [Self::Sse, Self::WebSocket];

    /// The name in metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sse => "sse",
            Self::WebSocket => "websocket",
        }
    }
}

impl ViewerPermits {
    pub(super) fn new(limit: usize) -> Self {
        let (refused, transports, gaps) = Default::default();
        let permits = Permits::new(limit);
        Self(Arc::new(SharedPermits { permits, refused, transports, gaps }))
    }

    pub(super) fn in_use(&self) -> usize {
        self.0.permits.in_use()
    }

    pub(super) fn limit(&self) -> usize {
        self.0.permits.limit()
    }

    /// How many viewers were refused.
    pub(super) fn refused(&self) -> u64 {
        self.0.refused.get()
    }

    /// A permit, or the refusal of a viewer beyond the limit.
    pub(super) fn acquire(&self, transport: Transport) -> Result<ViewerPermit, Problem> {
        let Some(permit) = self.0.permits.try_acquire() else {
            self.0.refused.add(1);
            return Err(Problem::too_many_viewers(self.limit()));
        };
        self.0.of(transport).opened.add(1);
        Ok(ViewerPermit { shared: Arc::clone(&self.0), transport, _permit: permit })
    }

    /// What viewers were sent, by transport.
    pub(super) fn transports(&self) -> Vec<TransportStats> {
        let stats = |transport: Transport| {
            let TransportCounters { opened, closed, entries, bytes } = self.0.of(transport);
            // First who is gone: nobody is gone who did not come.
            let (closed, opened) = (closed.get(), opened.get());
            TransportStats {
                transport: transport.name(),
                open: opened.saturating_sub(closed),
                opened,
                entries: entries.get(),
                bytes: bytes.get(),
            }
        };
        Transport::ALL.into_iter().map(stats).collect()
    }

    /// How many gaps viewers were told, by reason.
    pub(super) fn gaps(&self) -> Vec<(&'static str, u64)> {
        GAP_REASONS.into_iter().zip(self.0.gaps.iter().map(Counter::get)).collect()
    }
}

impl SharedPermits {
    fn of(&self, transport: Transport) -> &TransportCounters {
        &self.transports[transport as usize]
    }
}

impl ViewerPermit {
    /// Counts what the viewer was sent.
    pub(super) fn note_sent(&self, entries: u64, bytes: usize) {
        let counters = self.shared.of(self.transport);
        counters.entries.add(entries);
        counters.bytes.add(bytes as u64);
    }

    /// Counts a gap that the viewer was told.
    pub(super) fn note_gap(&self, reason: &str) {
        let known = GAP_REASONS.iter().position(|known| *known == reason);
        self.shared.gaps[known.unwrap_or(GAP_REASONS.len() - 1)].add(1);
    }
}

impl Drop for ViewerPermit {
    fn drop(&mut self) {
        self.shared.of(self.transport).closed.add(1);
    }
}
