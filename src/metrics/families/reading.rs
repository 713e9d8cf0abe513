//! What goes out.

use std::fmt;

use super::super::all_stats::{ReadingStats, TransportStats};
use super::super::writer::Writer;

/// The label of the way by which viewers are connected.
const TRANSPORT: &str = "transport";

pub(super) fn write(out: &mut Writer<'_>, reading: &ReadingStats) -> fmt::Result {
    out.gauge("otto_hub_bytes", "Memory for the newest entries", reading.hub_bytes)?;
    let limit = reading.hub_limit_bytes;
    out.gauge("otto_hub_limit_bytes", "How much they may take (--hub-bytes)", limit)?;
    let help = "Memory for what readers have not taken";
    out.gauge("otto_reader_bytes", help, reading.reader_bytes)?;
    let limit = reading.reader_limit_bytes;
    out.gauge("otto_reader_limit_bytes", "How much it may take (--reader-bytes)", limit)?;
    write_viewers(out, reading)?;
    let help = "Reads of the store for viewers that are before the newest entries";
    out.counter("otto_replay_reads_total", help, reading.replay_reads)?;
    let help = "Times that a viewer fell behind the newest entries and went on from the store";
    out.counter("otto_viewer_lags_total", help, reading.lags)?;
    let help = "Gaps that viewers were told because entries are not there any more, by reason";
    out.counters("otto_viewer_gaps_total", help, "reason", reading.gaps.iter().copied())?;
    let help = "Requests that were answered with a problem, by its code";
    out.counters("otto_problems_total", help, "code", reading.problems.iter().copied())
}

fn write_viewers(out: &mut Writer<'_>, reading: &ReadingStats) -> fmt::Result {
    let by_transport = |number: fn(&TransportStats) -> u64| {
        reading.transports.iter().map(move |stats| (stats.transport, number(stats)))
    };
    let open = by_transport(|stats| stats.open);
    out.gauges("otto_viewers_open", "Viewers that are connected", TRANSPORT, open)?;
    let limit = reading.viewer_limit;
    out.gauge("otto_viewers_limit", "How many may be connected (--max-viewers)", limit)?;
    let opened = by_transport(|stats| stats.opened);
    out.counters("otto_viewers_total", "Viewers that were connected", TRANSPORT, opened)?;
    let entries = by_transport(|stats| stats.entries);
    let help = "Entries that viewers were sent";
    out.counters("otto_delivered_entries_total", help, TRANSPORT, entries)?;
    let bytes = by_transport(|stats| stats.bytes);
    let help = "Bytes that viewers were sent";
    out.counters("otto_delivered_bytes_total", help, TRANSPORT, bytes)
}
