//! The printed table and `docs/benchmarks.md`.

use std::fmt::Write;
use std::process::Command;

use crate::stats::{Spread, short};

/// One row: ours against a baseline against a target.
#[derive(Debug, Clone)]
pub struct Row {
    pub case: String,
    pub unit: &'static str,
    pub ours: String,
    pub baseline: String,
    pub ratio: String,
    pub target: String,
    pub met: Option<bool>,
    pub note: String,
}

/// Which side of a limit meets the target.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    AtMost(f64),
    AtLeast(f64),
    None,
}

impl Target {
    fn met(self, value: f64) -> Option<bool> {
        match self {
            Self::AtMost(limit) => Some(value <= limit),
            Self::AtLeast(limit) => Some(value >= limit),
            Self::None => None,
        }
    }

    fn text(self, unit: &str) -> String {
        match self {
            Self::AtMost(limit) => format!("≤ {}{unit}", short(limit)),
            Self::AtLeast(limit) => format!("≥ {}{unit}", short(limit)),
            Self::None => "–".into(),
        }
    }
}

impl Row {
    /// A ratio of medians.
    pub fn ratio(
        case: &str,
        unit: &'static str,
        ours: Spread,
        (name, baseline): (&str, Spread),
        target: Target,
    ) -> Self {
        let ratio = ours.median / baseline.median;
        Self {
            case: case.into(),
            unit,
            ours: ours.to_string(),
            baseline: format!("{name}: {baseline}"),
            ratio: format!("{ratio:.2}"),
            target: target.text(" ×"),
            met: target.met(ratio),
            note: String::new(),
        }
    }

    /// A figure that is held to a limit instead of a baseline.
    pub fn figure(case: &str, unit: &'static str, ours: Spread, target: Target) -> Self {
        Self {
            case: case.into(),
            unit,
            ours: ours.to_string(),
            baseline: "–".into(),
            ratio: "–".into(),
            target: target.text(""),
            met: target.met(ours.median),
            note: String::new(),
        }
    }

    /// A baseline that is not available on this machine.
    pub fn skipped(case: &str, why: &str) -> Self {
        Self {
            case: case.into(),
            unit: "",
            ours: "–".into(),
            baseline: "–".into(),
            ratio: "–".into(),
            target: "–".into(),
            met: None,
            note: format!("skipped: {why}"),
        }
    }

    #[must_use]
    pub fn noting(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }
}

/// The results of one case.
#[derive(Debug, Clone, Default)]
pub struct Section {
    pub rows: Vec<Row>,
    /// Markdown below the rows: how it was done, further tables.
    pub text: String,
}

/// The rows as a Markdown table.
pub fn table(rows: &[Row]) -> String {
    let mut out = String::from(
        "| case | unit | ours | baseline | ratio | target | | note |\n|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let met = row.met.map_or("", |met| if met { "met" } else { "**missed**" });
        let Row { case, unit, ours, baseline, ratio, target, note, .. } = row;
        let line = writeln!(
            out,
            "| {case} | {unit} | {ours} | {baseline} | {ratio} | {target} | {met} | {note} |"
        );
        line.expect("a String takes all");
    }
    out
}

/// Processor, cores, memory, kernel and compiler.
pub fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = read("/proc/meminfo");
    let kib =
        memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0);
    let kernel = read("/proc/sys/kernel/osrelease");
    let kernel = kernel.trim().split('-').next().unwrap_or_default().to_owned();
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc = rustc
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default();
    format!(
        "{}, {cores} cores, {:.0} GiB, Linux {kernel}, {rustc}",
        model.trim_start_matches([' ', '\t', ':']),
        kib / 1024.0 / 1024.0,
    )
}
