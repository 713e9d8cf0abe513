//! What `verify` prints.

use std::io::{self, Write};
use std::time::Duration;

use bytesize::ByteSize;

use crate::verify::judge::{Outcome, Verdict};
use crate::verify::progress::Progress;

/// Prints verdicts to standard output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Console {
    pub(super) is_json: bool,
}

impl Console {
    /// One verdict: JSON on one line, or a table.
    pub(super) fn verdict(self, verdict: &Verdict) {
        let mut out = io::stdout().lock();
        // A closed pipe must not keep the exit code from saying what was found.
        let _ = if self.is_json {
            write_json(&mut out, verdict)
        } else {
            write_table(&mut out, verdict)
        };
    }
}

fn write_json(out: &mut impl Write, verdict: &Verdict) -> io::Result<()> {
    serde_json::to_writer(&mut *out, verdict)?;
    out.write_all(b"\n")
}

fn write_table(out: &mut impl Write, verdict: &Verdict) -> io::Result<()> {
    writeln!(
        out,
        "{:<34} {:>9} {:>9} {:>9} {:>7} {:>6} {:>8} {:>9} {:>11}",
        "worker", "sent", "acked", "kept", "told", "lost", "repeated", "reordered", "unexplained"
    )?;
    for worker in &verdict.workers {
        writeln!(
            out,
            "{:<34} {:>9} {:>9} {:>9} {:>7} {:>6} {:>8} {:>9} {:>11}",
            format!("{} {}", worker.task, worker.worker),
            worker.sent,
            worker.acked,
            worker.kept,
            worker.told,
            worker.lost,
            worker.repeated,
            worker.reordered,
            worker.unexplained
        )?;
    }
    for violation in &verdict.violations {
        writeln!(out, "violated: {violation}")?;
    }
    for task in &verdict.unread {
        writeln!(out, "unknown: {task} was not read to its end")?;
    }
    write_outcome(out, verdict)
}

fn write_outcome(out: &mut impl Write, verdict: &Verdict) -> io::Result<()> {
    let outcome = match verdict.outcome() {
        Outcome::Sound => "sound".to_owned(),
        Outcome::Violated => format!("VIOLATED, {} times", verdict.violation_count),
        Outcome::Unknown => "unknown".to_owned(),
    };
    writeln!(
        out,
        "{outcome}: {} workers, {} readers, {} faults, seed {}",
        verdict.workers.len(),
        verdict.readers,
        verdict.faults,
        verdict.seed
    )
}

/// A moment of a run, on one line of standard error.
pub(super) fn print_progress(mut progress: Progress) {
    let (half, most) = (progress.counts.quantile(0.5), progress.counts.quantile(0.99));
    let counts = &progress.counts;
    let mut line = format!(
        "{:>6}  sent {:>8}  acked {:>8}  seen {:>9}  faults {:>4}  ack p50 {:>7} p99 {:>7}",
        format!("{}s", progress.elapsed.as_secs()),
        counts.sent,
        counts.acked,
        counts.seen,
        counts.faults,
        milliseconds(half),
        milliseconds(most)
    );
    if let Some(usage) = progress.usage {
        let resident = ByteSize::kib(usage.resident_kib).display().iec().to_string();
        line += &format!("  memory {resident:>10}  files {:>4}", usage.files);
    }
    if let Some(bytes) = progress.disk_bytes {
        line += &format!("  disk {:>10}", ByteSize(bytes).display().iec().to_string());
    }
    // Nobody may read it; the run goes on.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

fn milliseconds(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_ends_with_the_outcome() {
        let verdict = Verdict {
            seed: 7,
            violation_count: 1,
            violations: vec!["x".into()],
            ..Verdict::default()
        };
        let mut out = Vec::new();
        write_table(&mut out, &verdict).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.ends_with(
                "violated: x\nVIOLATED, 1 times: 0 workers, 0 readers, 0 faults, seed 7\n"
            )
        );
    }
}
