//! What is kept.

use std::fmt;

use super::super::writer::{HistogramUnit, Writer};
use crate::stats::StoreStats;
use crate::store::{Room, Stats, WriteState};

pub(super) fn write(out: &mut Writer<'_>, store: &StoreStats) -> fmt::Result {
    let stats = &store.stats;
    let help = "1 for whether the store takes entries";
    out.state("otto_store_state", help, WriteState::NAMES, store.write_state)?;
    let help = "Memory for batches in the append queue, and of the commit that is made";
    out.gauge("otto_queue_bytes", help, stats.queue_bytes)?;
    let limit = stats.queue_limit_bytes;
    out.gauge("otto_queue_limit_bytes", "How much they may take (--queue-bytes)", limit)?;
    write_commits(out, stats)?;
    write_disk(out, stats)?;
    write_deletions(out, stats)
}

fn write_commits(out: &mut Writer<'_>, stats: &Stats) -> fmt::Result {
    let sizes = &stats.commit_sizes;
    let unit = HistogramUnit::Nanoseconds;
    let help = "Writing and syncing one commit";
    out.histogram("otto_commit_seconds", help, unit, &sizes.time)?;
    let unit = HistogramUnit::Pieces;
    out.histogram("otto_commit_bytes", "Bytes that one commit wrote", unit, &sizes.bytes)?;
    let help = "Entries that one commit kept";
    out.histogram("otto_commit_entries", help, unit, &sizes.entries)
}

fn write_disk(out: &mut Writer<'_>, stats: &Stats) -> fmt::Result {
    out.gauge("otto_segments", "Segment files", stats.segments)?;
    out.gauge("otto_disk_bytes", "Bytes of the segment files", stats.disk_bytes)?;
    if let Some(Room { free_bytes, total_bytes, .. }) = stats.room {
        let help = "Bytes that the volume of the data directory has free";
        out.gauge("otto_volume_free_bytes", help, free_bytes)?;
        out.gauge("otto_volume_size_bytes", "Bytes of that volume", total_bytes)?;
    }
    let help = "About what the list of tasks and workers takes in memory";
    out.gauge("otto_catalog_bytes", help, stats.catalog_bytes)?;
    let help = "Damaged places of the files, as far as they were read since the start";
    out.gauge("otto_damaged_places", help, stats.damaged_places)
}

fn write_deletions(out: &mut Writer<'_>, stats: &Stats) -> fmt::Result {
    let help = "Segments that retention deleted";
    out.counter("otto_deleted_segments_total", help, stats.deleted_segments)?;
    let help = "Tasks that somebody or task retention deleted";
    out.counter("otto_deleted_tasks_total", help, stats.deleted_tasks)?;
    out.counter(
        "otto_trimmed_tasks_total",
        "Tasks that grew beyond --task-bytes",
        stats.trimmed_tasks,
    )?;
    let help = "Lines of such tasks that are not shown any more";
    out.counter("otto_trimmed_lines_total", help, stats.trimmed_lines)?;
    let gaps = &stats.gaps;
    let counts = [("cut", gaps.cut), ("numbering", gaps.numbering), ("refused", gaps.refused)];
    let help = "Gaps kept in logs in place of lines, by why these are missing";
    let of_gaps = counts.iter().map(|(reason, count)| (*reason, count.gaps));
    out.counters("otto_gaps_total", help, "reason", of_gaps)?;
    let help = "Lines that are missing there, as far as it is known how many";
    let of_lines = counts.iter().map(|(reason, count)| (*reason, count.lines));
    out.counters("otto_lost_lines_total", help, "reason", of_lines)
}
