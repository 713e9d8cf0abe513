//! How cost grows with tasks and with viewers.

use std::fmt::Write;

use anyhow::Result;

use super::fanout::fan_ours;
use super::ingest::saturate;
use crate::process;
use crate::pusher::Shape;
use crate::report::Section;
use crate::rounds::{Effort, Measure, Measured, interleave};
use crate::stats::short;

const TASKS: [usize; 5] = [1, 10, 100, 1_000, 10_000];
const VIEWERS: [usize; 5] = [1, 10, 100, 1_000, 5_000];

/// Tables of CPU over tasks and viewers.
pub fn run(effort: Effort) -> Result<Section> {
    // Eleven variants more: three rounds show a trend.
    let effort = Effort { rounds: effort.rounds.min(3), ..effort };
    let mut text = String::from("Pushing over 8 × 8 streams, saturated, no viewers:\n\n");
    for durability in ["--durability=memory", "--durability=fsync"] {
        let variants = TASKS.map(|tasks| ingest(durability, tasks, effort)).into();
        text += &table(durability, "tasks", "entries/s", &interleave(effort, variants)?)?;
    }
    text += "Fan-out, saturated, one task, memory:\n\n";
    let variants = VIEWERS.map(|viewers| fan_out(viewers, effort)).into();
    text += &table("fan-out", "viewers", "deliveries/s", &interleave(effort, variants)?)?;
    Ok(Section { rows: Vec::new(), text })
}

fn ingest<'a>(durability: &'a str, tasks: usize, effort: Effort) -> (String, Measure<'a>) {
    let shape = Shape { streams_per_connection: 8, tasks, ..Shape::default() };
    let measure = move || saturate(&mut process::handler(&[durability])?, shape, effort);
    (tasks.to_string(), Box::new(measure))
}

fn fan_out<'a>(viewers: usize, effort: Effort) -> (String, Measure<'a>) {
    (viewers.to_string(), Box::new(move || fan_ours(viewers, effort)))
}

fn table(title: &str, of: &str, rate: &str, measured: &[Measured]) -> Result<String> {
    let mut out = format!("| {title}, {of} | CPU µs | {rate} | peak MiB |\n|---|---|---|---|\n");
    for variant in measured {
        let peak = short(variant.spread(|sample| sample.peak_mib).max);
        writeln!(out, "| {} | {} | {} | {peak} |", variant.name, variant.cpu(), variant.rate())?;
    }
    out.push('\n');
    Ok(out)
}
