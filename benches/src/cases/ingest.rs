//! Pushing, without viewers.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use prost::Message;

use crate::baselines::segment::{Entries, Segment};
use crate::entry;
use crate::foreign;
use crate::load::pusher::Pusher;
use crate::process::{self, Server};
use crate::report::{Row, Section, Target};
use crate::rounds::{Bracket, Effort, Measure, Measured, Sample, interleave};
use crate::shape::Shape;
use crate::stats::{percentile, short};

/// Before measuring: windows open, allocators and caches warm.
pub const WARM_UP: Duration = Duration::from_millis(500);

/// What the raw segment commits at once where its CPU is added to bare tonic's.
const SEGMENT_BATCH: usize = 256;
const SEGMENT_TASKS: usize = 50;

const PACED_PER_SECOND: f64 = 5_000.0;

fn bare_tonic() -> Result<Server> {
    process::baseline("bare-tonic", &[])
}

/// Pushes as fast as the server takes it.
pub fn saturate(server: &mut Server, shape: Shape, effort: Effort) -> Result<Sample> {
    let mut pusher = Pusher::connect(server.addr("grpc"), shape, Instant::now())?;
    pusher.saturate(Instant::now() + WARM_UP)?;
    let bracket = Bracket::open(server, pusher.acked())?;
    pusher.saturate(Instant::now() + effort.round)?;
    let sample = bracket.close(server, pusher.acked())?;
    // Figures count only if everything that was sent is acknowledged in the end.
    pusher.wait_for_acks()?;
    server.check()?;
    Ok(sample)
}

/// A variant on a fresh server per round.
fn saturating<'a>(
    name: &str,
    start: impl Fn() -> Result<Server> + 'a,
    shape: Shape,
    effort: Effort,
) -> (String, Measure<'a>) {
    (name.to_owned(), Box::new(move || saturate(&mut start()?, shape, effort)))
}

/// One entry per frame; memory and fsync; 8 × 64 streams, and 64 in all.
pub fn saturated(effort: Effort) -> Result<Section> {
    let wide = Shape::default();
    let narrow = Shape { streams_per_connection: 8, ..wide };
    let memory = || process::handler(&["--durability=memory"]);
    let fsync = || process::handler(&["--durability=fsync"]);
    let measured = interleave(
        effort,
        vec![
            saturating("memory", memory, wide, effort),
            saturating("bare tonic", bare_tonic, wide, effort),
            saturating("fsync", fsync, wide, effort),
            ("raw segment".to_owned(), Box::new(move || raw_segment(effort))),
            saturating("memory, 64 streams", memory, narrow, effort),
            saturating("bare tonic, 64 streams", bare_tonic, narrow, effort),
            saturating("fsync, 64 streams", fsync, narrow, effort),
        ]
        .into_iter()
        .chain(foreign::node_grpc().ok().map(|node| saturating("Node", node, wide, effort)))
        .collect(),
    )?;
    let [memory, tonic, fsync, segment, memory_64, tonic_64, fsync_64, node @ ..] = &measured[..]
    else {
        anyhow::bail!("too few results")
    };
    let mut rows =
        against_tonic("ingest, memory, 8 × 64 streams", memory, tonic, Target::AtMost(0.75));
    rows.push(match node.first() {
        Some(node) => Row::ratio(
            "ingest, memory, 8 × 64 streams",
            "µs/entry",
            memory.cpu(),
            ("Node", node.cpu()),
            Target::None,
        ),
        None => Row::skipped("ingest, Node", "no node, or its packages are not installed"),
    });
    rows.extend(against_tonic(
        "ingest, fsync, 8 × 64 streams, to bare tonic",
        fsync,
        tonic,
        Target::None,
    ));
    rows.push(against_both("ingest, fsync, 8 × 64 streams", fsync, tonic, segment));
    rows.extend(against_tonic(
        "ingest, memory, 8 × 8 streams",
        memory_64,
        tonic_64,
        Target::AtMost(0.75),
    ));
    rows.push(against_both("ingest, fsync, 8 × 8 streams", fsync_64, tonic_64, segment));
    let sample = entry::entry(1, 1, 12_345);
    let text = format!(
        "An entry is {} bytes on the wire and {} as JSON. Streams take turns frame by frame. The raw segment commits {SEGMENT_BATCH} entries over {SEGMENT_TASKS} tasks at once. Peak memory: {}.\n",
        sample.encoded_len(),
        entry::json(&sample).len(),
        peaks(&measured)
    );
    Ok(Section { rows, text })
}

/// CPU and throughput against bare tonic's.
fn against_tonic(case: &str, ours: &Measured, tonic: &Measured, target: Target) -> Vec<Row> {
    let cpu = Row::ratio(case, "µs/entry", ours.cpu(), (&tonic.name, tonic.cpu()), target);
    let rate =
        Row::ratio(case, "entries/s", ours.rate(), (&tonic.name, tonic.rate()), Target::None);
    vec![cpu, rate]
}

fn against_both(case: &str, ours: &Measured, tonic: &Measured, segment: &Measured) -> Row {
    let sums = tonic.samples.iter().zip(&segment.samples);
    let samples = sums.map(|(a, b)| Sample { cpu_us: a.cpu_us + b.cpu_us, ..*a }).collect();
    let both = Measured { name: "bare tonic + raw segment".into(), samples };
    let note = format!("raw segment alone: {}", segment.cpu());
    Row::ratio(case, "µs/entry", ours.cpu(), (&both.name, both.cpu()), Target::AtMost(1.0))
        .noting(note)
}

fn peaks(measured: &[Measured]) -> String {
    let each = measured.iter().filter(|variant| variant.samples[0].peak_mib > 0.0);
    let each = each.map(|variant| {
        format!("{} {} MiB", variant.name, short(variant.spread(|sample| sample.peak_mib).max))
    });
    each.collect::<Vec<_>>().join(", ")
}

fn raw_segment(effort: Effort) -> Result<Sample> {
    let dir = process::temp_dir()?;
    append_raw(dir.path(), SEGMENT_BATCH, SEGMENT_TASKS, effort.round)
}

/// Appends to a raw segment in this process for `duration`.
pub fn append_raw(dir: &Path, batch: usize, tasks: usize, duration: Duration) -> Result<Sample> {
    let entries = Entries::new(batch, tasks);
    let mut segment = Segment::create(&dir.join("raw.seg"))?;
    let own = std::process::id();
    let (began, cpu_us, mut kept) = (Instant::now(), process::cpu_us(own)?, 0);
    while began.elapsed() < duration {
        segment.commit(&entries)?;
        kept += batch;
    }
    let seconds = began.elapsed().as_secs_f64();
    let cpu_us = (process::cpu_us(own)? - cpu_us) / kept as f64;
    Ok(Sample { cpu_us, per_second: kept as f64 / seconds, ..Sample::default() })
}

/// Sixteen entries per frame.
pub fn many_per_frame(effort: Effort) -> Result<Section> {
    let shape = Shape { entries_per_frame: 16, ..Shape::default() };
    let memory = || process::handler(&["--durability=memory"]);
    let measured = interleave(
        effort,
        vec![
            saturating("memory", memory, shape, effort),
            saturating("bare tonic", bare_tonic, shape, effort),
        ],
    )?;
    let rows = against_tonic(
        "ingest, memory, 16 entries per frame",
        &measured[0],
        &measured[1],
        Target::AtMost(0.45),
    );
    Ok(Section { rows, text: format!("Peak memory: {}.\n", peaks(&measured)) })
}

/// A modest rate, at which wake-ups cost the most.
pub fn paced(effort: Effort) -> Result<Section> {
    // CPU time is counted in ticks of 10 ms: at this rate a round must last for some.
    let effort = Effort { round: effort.round.max(Duration::from_secs(3)), ..effort };
    let fsync = || process::handler(&["--durability=fsync"]);
    let memory = || process::handler(&["--durability=memory"]);
    let measured = interleave(
        effort,
        vec![
            ("fsync".into(), Box::new(move || measure_paced(&mut fsync()?, effort)) as Measure<'_>),
            ("bare tonic".into(), Box::new(move || measure_paced(&mut bare_tonic()?, effort))),
            ("memory".into(), Box::new(move || measure_paced(&mut memory()?, effort))),
        ],
    )?;
    let [fsync, tonic, memory] = &measured[..] else {
        anyhow::bail!("three variants make three results")
    };
    let row = |case, ours: &Measured, target| {
        Row::ratio(case, "µs/entry", ours.cpu(), (&tonic.name, tonic.cpu()), target)
            .noting(latency(ours))
    };
    let rows = vec![
        row("5,000 entries/s, 64 streams, fsync", fsync, Target::AtMost(0.6)),
        row("5,000 entries/s, 64 streams, memory", memory, Target::None),
    ];
    Ok(Section {
        rows,
        text: format!("Bare tonic: {}. Peak memory: {}.\n", latency(tonic), peaks(&measured)),
    })
}

fn latency(measured: &Measured) -> String {
    let p50 = measured.spread(|sample| sample.p50_ms).median;
    let p99 = measured.spread(|sample| sample.p99_ms).median;
    format!("entry to ACK p50 {} ms, p99 {} ms", short(p50), short(p99))
}

fn measure_paced(server: &mut Server, effort: Effort) -> Result<Sample> {
    let shape = Shape { streams_per_connection: 8, ..Shape::default() };
    let mut pusher = Pusher::connect(server.addr("grpc"), shape, Instant::now())?;
    pusher.latencies = Some(Vec::new());
    pusher.push_evenly(PACED_PER_SECOND, Instant::now() + WARM_UP)?;
    pusher.latencies = Some(Vec::new());
    let bracket = Bracket::open(server, pusher.acked())?;
    pusher.push_evenly(PACED_PER_SECOND, Instant::now() + effort.round)?;
    let mut sample = bracket.close(server, pusher.acked())?;
    let mut latencies = pusher.latencies.take().unwrap_or_default();
    latencies.sort_by(f64::total_cmp);
    sample.p50_ms = percentile(&latencies, 0.5) / 1e3;
    sample.p99_ms = percentile(&latencies, 0.99) / 1e3;
    server.check()?;
    Ok(sample)
}
