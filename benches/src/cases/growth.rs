//! How cost grows with tasks and with viewers.

use std::fmt::Write;

use anyhow::Result;

use super::fanout::fan_ours;
use super::ingest::saturate;
use crate::process;
use crate::report::Section;
use crate::rounds::{Effort, Measure, Measured, interleave};
use crate::shape::Shape;
use crate::stats::short;

const TASKS: [usize; 5] = [1, 10, 100, 1_000, 10_000];
const MIXED_TASKS: [usize; 3] = [1, 10, 1_000];
const VIEWERS: [usize; 5] = [1, 10, 100, 1_000, 5_000];

/// Tables of CPU over tasks and viewers.
pub fn run(effort: Effort) -> Result<Section> {
    // Many variants: three rounds show a trend.
    let effort = Effort { rounds: effort.rounds.min(3), ..effort };
    let mut text = String::from(
        "With more than 64 tasks each has its own stream, as in ottoscaler, so that cost \
         grows with streams too: bare tonic shows how much of it the streams cause.\n\n",
    );
    for name in ["memory", "fsync", "bare tonic"] {
        let variants = TASKS.map(|tasks| ingest(name, shape(tasks), effort)).into();
        text += &table(name, "tasks", "entries/s", &interleave(effort, variants)?)?;
    }
    text += "64 streams that each change the task with every entry:\n\n";
    let variants = MIXED_TASKS.map(|tasks| ingest("memory", mixed(tasks), effort)).into();
    text += &table("memory", "tasks", "entries/s", &interleave(effort, variants)?)?;
    text += "Fan-out, saturated, one task, memory:\n\n";
    let variants = VIEWERS.map(|viewers| fan_out(viewers, effort)).into();
    text += &table("fan-out", "viewers", "deliveries/s", &interleave(effort, variants)?)?;
    Ok(Section { rows: Vec::new(), text })
}

/// 64 streams, or one per task where that is more.
fn shape(tasks: usize) -> Shape {
    let connections = if tasks > 4096 { 16 } else { 8 };
    let streams_per_connection = tasks.div_ceil(connections).max(8);
    Shape { connections, streams_per_connection, tasks, cycle: 8, ..Shape::default() }
}

fn mixed(tasks: usize) -> Shape {
    Shape { streams_per_connection: 8, tasks, mixed: true, ..Shape::default() }
}

fn ingest<'a>(name: &'a str, shape: Shape, effort: Effort) -> (String, Measure<'a>) {
    let start = move || match name {
        "bare tonic" => process::baseline("bare-tonic", &[]),
        durability => {
            process::handler(&[&format!("--durability={durability}"), "--max-push-streams=20000"])
        }
    };
    (shape.tasks.to_string(), Box::new(move || saturate(&mut start()?, shape, effort)))
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
