//! Rounds: every variant of a case once per round, in alternating order, each on a fresh server.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::process::Server;
use crate::stats::Spread;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    pub round: Duration,
    /// Smaller amounts where a case has a fixed one.
    pub quick: bool,
}

/// One variant's figures in one round.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sample {
    /// Server CPU time per entry or delivery, in microseconds.
    pub cpu_us: f64,
    pub per_second: f64,
    /// Latencies in milliseconds, where they are asked for.
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Highest resident memory, in MiB.
    pub peak_mib: f64,
}

/// How a variant is measured once.
pub type Measure<'a> = Box<dyn FnMut() -> Result<Sample> + 'a>;

/// A variant's figures over all rounds.
#[derive(Debug, Clone)]
pub struct Measured {
    pub name: String,
    pub samples: Vec<Sample>,
}

impl Measured {
    pub fn spread(&self, figure: impl Fn(&Sample) -> f64) -> Spread {
        Spread::of(self.samples.iter().map(figure))
    }

    pub fn cpu(&self) -> Spread {
        self.spread(|sample| sample.cpu_us)
    }

    pub fn rate(&self) -> Spread {
        self.spread(|sample| sample.per_second)
    }
}

/// Measures every variant in every round.
///
/// # Errors
/// The first failure, which names its variant.
pub fn interleave(
    effort: Effort,
    mut variants: Vec<(String, Measure<'_>)>,
) -> Result<Vec<Measured>> {
    let mut measured: Vec<Measured> = variants
        .iter()
        .map(|(name, _)| Measured { name: name.clone(), samples: Vec::new() })
        .collect();
    for round in 0..effort.rounds {
        let mut order: Vec<usize> = (0..variants.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let (name, measure) = &mut variants[index];
            let sample = measure().map_err(|error| error.context(format!("measuring {name}")))?;
            measured[index].samples.push(sample);
        }
    }
    Ok(measured)
}

/// Measures a period of load by the CPU time and the amounts before and after it.
pub struct Bracket {
    began: Instant,
    cpu_us: f64,
    units: u64,
}

impl Bracket {
    pub fn open(server: &Server, units: u64) -> Result<Self> {
        Ok(Self { cpu_us: server.cpu_us()?, began: Instant::now(), units })
    }

    pub fn close(self, server: &Server, units: u64) -> Result<Sample> {
        let seconds = self.began.elapsed().as_secs_f64();
        let units = (units - self.units).max(1) as f64;
        Ok(Sample {
            cpu_us: (server.cpu_us()? - self.cpu_us) / units,
            per_second: units / seconds,
            peak_mib: server.peak_kib()? / 1024.0,
            ..Sample::default()
        })
    }
}
