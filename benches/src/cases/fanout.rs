//! Viewers.

use std::time::Duration;

use anyhow::Result;

use super::ingest::{WARM_UP, saturate};
use crate::foreign;
use crate::load::fan::{Fan, LEAD_EVENTS, SHORT_LEAD_EVENTS};
use crate::load::feed::Framing;
use crate::load::viewers::Viewers;
use crate::process::{self, Server};
use crate::report::{Row, Section, Target};
use crate::rounds::{Effort, Measure, Measured, Sample, interleave};
use crate::shape::Shape;
use crate::stats::{Spread, short};

type Start = Box<dyn Fn() -> Result<Server>>;

const MEMORY: [&str; 2] = ["--durability=memory", "--max-viewers=6000"];
const FSYNC: [&str; 2] = ["--durability=fsync", "--max-viewers=6000"];

const FEEDING: &str = "Events of one task are published over 8 gRPC streams of one connection, at most 4,096 ahead of the \
slowest viewer (Nchan and Node, which slow down when led by more: 256), and every viewer gets every event. The server's CPU includes taking the entries in; the \
baselines are fed JSON over a plain socket (Nchan: pipelined POSTs).\n";

/// A server that viewers are fanned out from.
struct Baseline {
    name: &'static str,
    start: Start,
    framing: Framing,
    lead: u64,
}

/// The baselines that are installed here, and a row with the reason for each that is not.
fn baselines() -> (Vec<Baseline>, Vec<Row>) {
    let axum: Start = Box::new(|| process::baseline("axum-sse", &[]));
    let mut present = vec![Baseline {
        name: "axum Sse + broadcast",
        start: axum,
        framing: Framing::Length,
        lead: LEAD_EVENTS,
    }];
    let mut missing = Vec::new();
    match foreign::nchan() {
        Ok(start) => present.push(Baseline {
            name: "Nchan",
            start: Box::new(start),
            framing: Framing::Post,
            lead: SHORT_LEAD_EVENTS,
        }),
        Err(why) => missing.push(Row::skipped("Nchan", &why.to_string())),
    }
    match foreign::node_sse() {
        Ok(start) => present.push(Baseline {
            name: "Node + RxJS",
            start: Box::new(start),
            framing: Framing::Length,
            lead: SHORT_LEAD_EVENTS,
        }),
        Err(why) => missing.push(Row::skipped("Node + RxJS", &why.to_string())),
    }
    (present, missing)
}

fn target(baseline: &str) -> Target {
    Target::AtMost(if baseline.starts_with("Node") { 0.05 } else { 0.1 })
}

/// As fast as the slowest viewer takes it.
pub fn saturated(effort: Effort) -> Result<Section> {
    let mut section = Section { rows: Vec::new(), text: FEEDING.into() };
    for viewers in [100, 1000] {
        section.rows.extend(saturated_with(viewers, effort)?);
    }
    Ok(section)
}

fn saturated_with(viewers: usize, effort: Effort) -> Result<Vec<Row>> {
    let (present, missing) = baselines();
    let ours: Measure<'_> = Box::new(move || fan_ours(viewers, effort));
    let mut variants = vec![("ours".to_owned(), ours)];
    for baseline in &present {
        let measure: Measure<'_> =
            Box::new(move || {
                let server = (baseline.start)()?;
                Fan::of_baseline(&server, viewers, baseline.framing, baseline.lead)?
                    .measure_saturated(&server, WARM_UP, effort.round)
            });
        variants.push((baseline.name.to_owned(), measure));
    }
    let measured = interleave(effort, variants)?;
    let case = format!("fan-out, saturated, {viewers} viewers");
    let mut rows = Vec::new();
    let ours = &measured[0];
    for theirs in &measured[1..] {
        let note = format!("{} against {} events/s", ours.rate(), theirs.rate());
        let row = Row::ratio(
            &case,
            "µs/delivery",
            ours.cpu(),
            (&theirs.name, theirs.cpu()),
            target(&theirs.name),
        );
        rows.push(row.noting(note));
    }
    rows.extend(missing);
    Ok(rows)
}

/// The real server, saturated.
pub fn fan_ours(viewers: usize, effort: Effort) -> Result<Sample> {
    let server = process::handler(&MEMORY)?;
    Fan::of_task(&server, viewers)?.measure_saturated(&server, WARM_UP, effort.round)
}

const PACED_PER_SECOND: f64 = 1_000.0;
const PACED_VIEWERS: usize = 100;

/// A modest rate, at which every write to a socket costs.
pub fn paced(effort: Effort) -> Result<Section> {
    let round = effort.round;
    let ours = |flags: &'static [&'static str]| -> Measure<'static> {
        Box::new(move || {
            let server = process::handler(flags)?;
            Fan::of_task(&server, PACED_VIEWERS)?.measure_paced(
                &server,
                PACED_PER_SECOND,
                WARM_UP,
                round,
            )
        })
    };
    let theirs = |name: &'static str| -> Measure<'static> {
        Box::new(move || {
            let server = process::baseline(name, &[])?;
            let fan = Fan::of_baseline(&server, PACED_VIEWERS, Framing::Length, LEAD_EVENTS)?;
            fan.measure_paced(&server, PACED_PER_SECOND, WARM_UP, round)
        })
    };
    let measured = interleave(
        effort,
        vec![
            ("fsync".into(), ours(&FSYNC)),
            ("raw write loop".into(), theirs("write-loop")),
            ("memory".into(), ours(&MEMORY)),
            ("axum Sse + broadcast".into(), theirs("axum-sse")),
        ],
    )?;
    let [fsync, raw, memory, axum] = &measured[..] else { anyhow::bail!("too few results") };
    let row = |name: &str, ours: &Measured, baseline: &Measured, target| {
        let case = format!("1,000 events/s × 100 viewers, {name}");
        Row::ratio(&case, "µs/delivery", ours.cpu(), (&baseline.name, baseline.cpu()), target)
    };
    let p99 = |measured: &Measured| measured.spread(|sample| sample.p99_ms);
    let rows = vec![
        row("fsync", fsync, raw, Target::AtMost(0.3)),
        row("memory", memory, raw, Target::None),
        row("fsync", fsync, axum, Target::None),
        Row::figure(
            "1,000 events/s × 100 viewers, fsync, publish to delivery p99",
            "ms",
            p99(fsync),
            Target::AtMost(15.0),
        ),
        Row::figure("the same, memory", "ms", p99(memory), Target::None),
        Row::figure("the same, raw write loop", "ms", p99(raw), Target::None),
    ];
    Ok(Section { rows, text: FEEDING.replace(", at most 4,096 ahead of the slowest viewer (Nchan and Node, which slow down when led by more: 256)", "") })
}

const IDLE_VIEWERS: usize = 5000;

/// What a viewer costs while it gets nothing.
pub fn idle(effort: Effort) -> Result<Section> {
    let effort = Effort { rounds: effort.rounds.min(3), ..effort };
    let (present, missing) = baselines();
    let ours: Measure<'_> = Box::new(|| {
        let server = process::handler(&MEMORY)?;
        idle_kib(&server, "/api/v1/log-streaming/stream/build-000000")
    });
    let mut variants = vec![("ours".to_owned(), ours)];
    for baseline in &present {
        variants.push((
            baseline.name.to_owned(),
            Box::new(|| idle_kib(&(baseline.start)()?, "/stream")),
        ));
    }
    let measured = interleave(effort, variants)?;
    let kib = |measured: &Measured| measured.spread(|sample| sample.peak_mib * 1024.0);
    let case = format!("idle viewers, {IDLE_VIEWERS}");
    let mut rows =
        vec![Row::figure(&case, "KiB resident each", kib(&measured[0]), Target::AtMost(12.0))];
    for theirs in &measured[1..] {
        let baseline = (theirs.name.as_str(), kib(theirs));
        rows.push(Row::ratio(
            &case,
            "KiB resident each",
            kib(&measured[0]),
            baseline,
            Target::None,
        ));
    }
    rows.extend(missing);
    Ok(Section { rows, text: String::new() })
}

/// Resident memory per viewer, given as MiB in the sample.
fn idle_kib(server: &Server, path: &str) -> Result<Sample> {
    let before = server.resident_kib()?;
    let _viewers =
        Viewers::connect(server.addr("http"), path, IDLE_VIEWERS, std::time::Instant::now())?
            .opened()?;
    // The work for the last responses ends shortly after they are read.
    std::thread::sleep(Duration::from_millis(500));
    let each = (server.resident_kib()? - before) / IDLE_VIEWERS as f64;
    Ok(Sample { peak_mib: each / 1024.0, ..Sample::default() })
}

const FEW_VIEWERS: usize = 10;

/// Pushing as in the ingest case while a few viewers watch all tasks.
pub fn with_ingest(effort: Effort) -> Result<Section> {
    let shape = Shape::default();
    let measured = interleave(
        effort,
        vec![
            (
                "10 viewers".into(),
                Box::new(move || {
                    let server = process::handler(&MEMORY)?;
                    let fan = Fan::of_all(&server, FEW_VIEWERS, shape)?;
                    fan.measure_publishing(&server, WARM_UP, effort.round)
                }) as Measure<'_>,
            ),
            (
                "no viewers".into(),
                Box::new(move || saturate(&mut process::handler(&MEMORY)?, shape, effort)),
            ),
        ],
    )?;
    let [viewed, alone] = &measured[..] else { anyhow::bail!("two variants make two results") };
    let case = "ingest + 10 viewers of all tasks, memory, saturated";
    let rate = Spread { ..viewed.rate() };
    let note = format!("{rate} entries/s, each delivered ten times");
    let row = Row::ratio(
        case,
        "µs/entry",
        viewed.cpu(),
        ("no viewers", alone.cpu()),
        Target::AtMost(1.6),
    );
    let text = format!(
        "Pushing leads the slowest viewer by at most 16,384 entries, so that nobody misses any. Peak memory {} MiB.\n",
        short(viewed.spread(|sample| sample.peak_mib).max)
    );
    Ok(Section { rows: vec![row.noting(note)], text })
}
