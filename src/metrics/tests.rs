use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::histogram::{DurationHistogram, HistogramSnapshot};
use crate::pull::PullState;
use crate::stats::{ConnectionStats, PullStats, PushStats, Snapshot, StoreStats};
use crate::store::{CommitSizes, Room, Stats};

/// 1 ms and a minute.
fn two_times() -> HistogramSnapshot {
    let times = DurationHistogram::default();
    [1, 60_000].map(std::time::Duration::from_millis).into_iter().for_each(|took| times.add(took));
    times.snapshot()
}

fn server() -> Snapshot {
    let commit_sizes = CommitSizes { time: two_times(), ..CommitSizes::default() };
    let room = Some(Room { free_bytes: 7, total_bytes: 70, free_files: 1 });
    let stats = Stats { segments: 2, commit_sizes, room, ..Stats::default() };
    Snapshot {
        pushed: PushStats {
            kept: 5,
            throttle_ms: 1500,
            ack_latency: two_times(),
            ..PushStats::default()
        },
        pulled: PullStats {
            state: PullState::BackingOff { reason: "a \"reason\"".into(), until_ms: 5 },
            attempts: 3,
            ..PullStats::default()
        },
        store: StoreStats { state: "ok".into(), write_state: "ok", stats, ..StoreStats::default() },
        connections: ConnectionStats { open: 1, limit: 10, refused: 4 },
    }
}

fn metrics() -> Metrics {
    let sse = TransportStats { transport: "sse", open: 1, opened: 3, entries: 9, bytes: 99 };
    let reading = ReadingStats {
        is_ready: true,
        transports: vec![sse],
        gaps: vec![("retention", 2)],
        problems: vec![("not_found", 6)],
        ..ReadingStats::default()
    };
    let stats = AllStats { server: server(), reading };
    Metrics::new(move || stats.clone())
}

#[test]
fn each_number_is_written_under_its_name() {
    let text = metrics().write(MetricsFormat::Prometheus).unwrap();
    let expected = [
        "otto_entries_total{outcome=\"kept\"} 5",
        "otto_throttle_seconds_total 1.5",
        "otto_ack_latency_seconds_bucket{le=\"0.0005\"} 0",
        "otto_ack_latency_seconds_bucket{le=\"0.001\"} 1",
        "otto_ack_latency_seconds_bucket{le=\"10\"} 1",
        "otto_ack_latency_seconds_bucket{le=\"+Inf\"} 2",
        "otto_ack_latency_seconds_sum 60.001",
        "otto_ack_latency_seconds_count 2",
        "otto_pull_state{state=\"backing_off\"} 1",
        "otto_pull_state{state=\"off\"} 0",
        "otto_volume_size_bytes 70",
        "otto_refusals_total{reason=\"connections\"} 4",
        "otto_viewers_open{transport=\"sse\"} 1",
        "otto_viewer_gaps_total{reason=\"retention\"} 2",
        "otto_problems_total{code=\"not_found\"} 6",
        concat!("otto_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
    ];
    for line in expected {
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }
}

/// The names of `text`'s families and their types; checks what both formats ask for.
fn families(text: &str) -> BTreeMap<&str, &str> {
    let mut families = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            let (name, of_type) = described.split_once(' ').unwrap();
            assert_eq!(families.insert(name, of_type), None, "{name} comes twice");
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(seen.insert(series), "{series} comes twice");
            let name = series.split('{').next().unwrap();
            let is_described = families.keys().any(|family| name.starts_with(family));
            assert!(is_described && name.starts_with("otto_"), "{line}");
            assert!(!series.contains("task=") && !series.contains("worker="), "{line}");
        }
    }
    families
}

#[test]
fn both_formats_have_the_same_metrics_each_once() {
    let metrics = metrics();
    let prometheus = metrics.write(MetricsFormat::Prometheus).unwrap();
    let open = metrics.write(MetricsFormat::OpenMetrics).unwrap();
    assert!(open.ends_with("# EOF\n") && !prometheus.contains("# EOF"), "{open}");
    let (prometheus, open) = (families(&prometheus), families(&open));
    assert!(prometheus.len() > 50, "{} metrics", prometheus.len());
    let bare = |name: &&str| {
        let name = name.strip_suffix("_total").unwrap_or(name);
        name.strip_suffix("_info").unwrap_or(name).to_owned()
    };
    let names: BTreeSet<_> = prometheus.keys().map(bare).collect();
    assert_eq!(names, open.keys().map(bare).collect());
    let mistyped = prometheus
        .iter()
        .find(|(name, of_type)| name.ends_with("_total") != (**of_type == "counter"));
    assert_eq!(mistyped, None);
}

#[test]
fn the_format_is_the_one_that_is_asked_for() {
    let scraper = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4";
    assert_eq!(MetricsFormat::asked_for(Some(scraper)), MetricsFormat::OpenMetrics);
    for other in [None, Some("*/*"), Some("text/plain")] {
        assert_eq!(MetricsFormat::asked_for(other), MetricsFormat::Prometheus, "{other:?}");
    }
}
