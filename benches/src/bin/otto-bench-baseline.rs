//! Runs one baseline per process.

use anyhow::Result;
use clap::Parser;
use otto_bench::baselines::{axum_sse, bare_tonic, write_loop};

#[derive(Parser)]
enum Baseline {
    BareTonic,
    AxumSse,
    WriteLoop,
}

fn main() -> Result<()> {
    match Baseline::parse() {
        Baseline::BareTonic => bare_tonic::run(),
        Baseline::AxumSse => axum_sse::run(),
        Baseline::WriteLoop => write_loop::run(),
    }
}
