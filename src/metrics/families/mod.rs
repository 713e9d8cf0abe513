//! Every metric: its name, what it means, which number it is.

mod pushing;
mod reading;
mod storing;

use std::fmt;

use super::all_stats::AllStats;
use super::writer::Writer;
use crate::stats::Snapshot;

/// Writes all of them.
pub(super) fn write(out: &mut Writer<'_>, stats: &AllStats, started: f64) -> fmt::Result {
    let AllStats { server, reading } = stats;
    write_process(out, stats, started)?;
    pushing::write(out, &server.pushed)?;
    pushing::write_pulled(out, &server.pulled)?;
    storing::write(out, &server.store)?;
    reading::write(out, reading)
}

fn write_process(out: &mut Writer<'_>, stats: &AllStats, started: f64) -> fmt::Result {
    let AllStats { server: Snapshot { pushed, connections, .. }, reading } = stats;
    out.info("otto_build_info", "The program", ("version", env!("CARGO_PKG_VERSION")))?;
    out.gauge("otto_start_time_seconds", "When the server started, as Unix time", started)?;
    let ready = u64::from(reading.is_ready);
    out.gauge("otto_ready", "1 while the server takes new work, as /readyz says", ready)?;
    let open = connections.open;
    out.gauge("otto_connections_open", "Connections to the gRPC and the HTTP port", open)?;
    let limit = connections.limit;
    out.gauge("otto_connections_limit", "How many may be open, by the limit of open files", limit)?;
    let refusals = [
        ("calls", pushed.refused_calls),
        ("connections", connections.refused),
        ("ingest_bytes", pushed.refused_for_memory),
        ("late_message", pushed.late_messages),
        ("push_streams", pushed.refused_streams),
        ("registered_workers", pushed.refused_registrations),
        ("viewers", reading.refused_viewers),
    ];
    let help = "What was refused, by the limit that was reached";
    out.counters("otto_refusals_total", help, "reason", refusals)
}
