//! Runs the cases named, or all, and prints the table.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;
use otto_bench::cases::{CASES, Case};
use otto_bench::document;
use otto_bench::rounds::Effort;

/// Measures the server against baselines.
#[derive(Parser)]
struct Args {
    /// Rounds; in each every variant is measured once
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds that a variant is measured for in a round
    #[arg(long)]
    seconds: Option<f64>,
    /// Few short rounds and small amounts: to try the benchmarks, not to quote them
    #[arg(long)]
    quick: bool,
    /// Print the cases
    #[arg(long)]
    list: bool,
    /// Replace the sections of the named cases in the output; without names this is always done
    #[arg(long)]
    write: bool,
    /// Where results go
    #[arg(long, default_value = "docs/benchmarks.md")]
    output: String,
    /// Cases to run; all where none is named
    cases: Vec<String>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    if args.list {
        CASES.iter().for_each(|case| println!("{:<16}{}", case.name, case.what));
        return Ok(());
    }
    let chosen = chosen(&args.cases)?;
    let (rounds, seconds) = if args.quick { (3, 1.0) } else { (7, 2.0) };
    let effort = Effort {
        rounds: args.rounds.unwrap_or(rounds),
        round: Duration::from_secs_f64(args.seconds.unwrap_or(seconds)),
        quick: args.quick,
    };
    let writes = args.write || (args.cases.is_empty() && !args.quick);
    for case in chosen {
        eprintln!("{}: {}", case.name, case.what);
        let text = document::section(case.name, case.what, &(case.run)(effort), effort);
        println!("{text}");
        if writes {
            // Case by case: a run that is ended early keeps what it has found.
            document::update(Path::new(&args.output), case.name, &text)?;
        }
    }
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<&'static Case>> {
    for name in names {
        let known: Vec<_> = CASES.iter().map(|case| case.name).collect();
        ensure!(known.contains(&&name[..]), "unknown case {name}, known are {}", known.join(", "));
    }
    Ok(CASES
        .iter()
        .filter(|case| names.is_empty() || names.iter().any(|name| name == case.name))
        .collect())
}
