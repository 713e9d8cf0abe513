//! Runs the cases named, or all, and prints the table.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use otto_bench::cases::{CASES, Case};
use otto_bench::report::{Section, machine, table};
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
    /// Where all cases' results go when none is named
    #[arg(long, default_value = "docs/benchmarks.md")]
    output: String,
    /// Cases to run; all where none is named
    cases: Vec<String>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    if args.list {
        CASES.iter().for_each(|case| println!("{:<14}{}", case.name, case.what));
        return Ok(());
    }
    let chosen = chosen(&args.cases)?;
    let (rounds, seconds) = if args.quick { (3, 1.0) } else { (7, 2.0) };
    let effort = Effort {
        rounds: args.rounds.unwrap_or(rounds),
        round: Duration::from_secs_f64(args.seconds.unwrap_or(seconds)),
        quick: args.quick,
    };
    let mut document = head(effort);
    for case in chosen {
        eprintln!("{}: {}", case.name, case.what);
        let text = match (case.run)(effort) {
            Ok(section) => body(case, &section),
            Err(error) => format!("## {}\n\nFailed: {error:#}\n", case.name),
        };
        println!("{text}");
        document.push_str(&format!("\n{text}"));
    }
    if args.cases.is_empty() && !args.quick {
        if let Some(folder) = Path::new(&args.output).parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&args.output, document).with_context(|| format!("cannot write {}", args.output))?;
    }
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<&'static Case>> {
    for name in names {
        let known: Vec<_> = CASES.iter().map(|case| case.name).collect();
        ensure!(known.contains(&&name[..]), "{name} is no case, known are {}", known.join(", "));
    }
    Ok(CASES.iter().filter(|case| names.is_empty() || names.iter().any(|name| name == case.name)).collect())
}

fn head(effort: Effort) -> String {
    format!(
        "# Benchmarks\n\n\
         Written by `make bench`; do not edit. {}.\n\n\
         {} rounds of {:.1} s, variants interleaved, each on a fresh server process. Figures are\n\
         median [min–max] over the rounds; a ratio is one of medians. CPU is user and system time\n\
         of the server process alone, in µs per entry taken or event delivered. All traffic is on\n\
         loopback, and the load runs on the same cores: compare ratios, not absolute figures.\n",
        machine(),
        effort.rounds,
        effort.round.as_secs_f64()
    )
}

fn body(case: &Case, section: &Section) -> String {
    format!("## {}: {}\n\n{}\n{}", case.name, case.what, table(&section.rows), section.text)
}
