//! The numbers that are read on each scrape.

use crate::stats::Snapshot;

/// All numbers at one moment.
#[derive(Debug, Clone)]
pub struct AllStats {
    /// Those that `/health` has too, and some more.
    pub server: Snapshot,
    /// Those of readers.
    pub reading: ReadingStats,
}

/// What readers make the server do, at one moment. Counts begin with the process.
#[derive(Debug, Clone, Default)]
pub struct ReadingStats {
    /// Whether the server takes new work.
    pub is_ready: bool,
    /// Bytes of the newest entries in memory.
    pub hub_bytes: usize,
    /// How many there may be.
    pub hub_limit_bytes: usize,
    /// Bytes that readers have not taken.
    pub reader_bytes: usize,
    /// How many there may be.
    pub reader_limit_bytes: usize,
    /// Viewers that may be connected.
    pub viewer_limit: usize,
    /// Viewers refused because as many were connected as may be.
    pub refused_viewers: u64,
    /// Viewers by their transport.
    pub transports: Vec<TransportStats>,
    /// Reads of the log for viewers and downloads that were before the newest entries.
    pub replay_reads: u64,
    /// Viewers that fell behind the newest entries.
    pub lags: u64,
    /// Gaps that viewers were told, by reason.
    pub gaps: Vec<(&'static str, u64)>,
    /// Requests that were answered with a problem, by its code.
    pub problems: Vec<(&'static str, u64)>,
}

/// The viewers of one transport.
#[derive(Debug, Clone)]
pub struct TransportStats {
    /// Its name, as the label has it.
    pub transport: &'static str,
    /// Connected now.
    pub open: u64,
    /// Connected since the start.
    pub opened: u64,
    /// Entries that they were sent.
    pub entries: u64,
    /// Bytes that they were sent.
    pub bytes: u64,
}
