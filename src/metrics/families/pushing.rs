//! What comes in.

use std::fmt;

use super::super::writer::{HistogramUnit, Writer};
use crate::pull::PullState;
use crate::stats::{PullStats, PushStats};

pub(super) fn write(out: &mut Writer<'_>, pushed: &PushStats) -> fmt::Result {
    let outcomes = [
        ("kept", pushed.kept),
        ("repeated", pushed.repeated),
        ("dropped", pushed.dropped),
        ("retried", pushed.retried),
    ];
    let help = "Entries that were pushed or pulled, by what became of them";
    out.counters("otto_entries_total", help, "outcome", outcomes)?;
    let help = "Bytes of entries on their way to the append queue, as encoded";
    out.counter("otto_entry_bytes_total", help, pushed.bytes)?;
    let help = "From the reading of a pushed batch to its acks, for batches that are kept";
    let unit = HistogramUnit::Nanoseconds;
    out.histogram("otto_ack_latency_seconds", help, unit, &pushed.ack_latency)?;
    out.gauge("otto_push_streams_open", "Push streams that are open", pushed.open_streams)?;
    let limit = pushed.stream_limit;
    out.gauge("otto_push_streams_limit", "How many may be open (--max-push-streams)", limit)?;
    out.counter("otto_push_streams_total", "Push streams that were opened", pushed.streams)?;
    write_backpressure(out, pushed)?;
    let registered = pushed.registered_workers;
    out.gauge("otto_registered_workers", "Workers that are registered to push", registered)?;
    let limit = pushed.registered_worker_limit;
    let help = "How many may be registered (--max-registered-workers)";
    out.gauge("otto_registered_workers_limit", help, limit)
}

fn write_backpressure(out: &mut Writer<'_>, pushed: &PushStats) -> fmt::Result {
    let help = "Memory for messages and entries that are not in the append queue yet";
    out.gauge("otto_ingest_bytes", help, pushed.held_bytes)?;
    let help = "How much they may take (--ingest-bytes without --queue-bytes)";
    out.gauge("otto_ingest_limit_bytes", help, pushed.held_limit_bytes)?;
    let help = "Batches that found the append queue full, so that their stream was not read on";
    out.counter("otto_queue_waits_total", help, pushed.queue_waits)?;
    let help = "Batches whose acks asked the producer to wait (throttle_ms)";
    out.counter("otto_throttled_batches_total", help, pushed.throttled)?;
    let seconds = pushed.throttle_ms as f64 / 1e3;
    out.counter("otto_throttle_seconds_total", "For how long together", seconds)
}

pub(super) fn write_pulled(out: &mut Writer<'_>, pulled: &PullStats) -> fmt::Result {
    let state = pulled.state.name();
    out.state("otto_pull_state", "1 for what pulling does now", PullState::NAMES, state)?;
    let help = "Streams that were requested from the source";
    out.counter("otto_pull_attempts_total", help, pulled.attempts)?;
    let outcomes = [
        ("kept", pulled.kept),
        ("repeated", pulled.repeated),
        ("invalid", pulled.invalid),
        ("backwards", pulled.backwards),
    ];
    let help = "Responses of the source, by what became of them";
    out.counters("otto_pull_responses_total", help, "outcome", outcomes)?;
    let help = "Statuses that were kept, pulled and polled";
    out.counter("otto_pull_statuses_total", help, pulled.statuses)?;
    let help = "Polls for statuses that failed";
    out.counter("otto_pull_failed_polls_total", help, pulled.failed_polls)
}
