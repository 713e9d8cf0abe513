//! What a build prints: checkout, dependencies, compiler, tests, artifact.

use std::vec;

use fastrand::Rng;

use crate::domain::TaskId;

/// One printed line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// `DEBUG`, `INFO`, `WARN` or `ERROR`.
    pub level: &'static str,
    /// `stdout` or `stderr`.
    pub source: &'static str,
    /// The text, with its colours, without a line end.
    pub message: String,
    /// How much longer than usual the build works before it prints this.
    pub effort: u32,
}

/// The lines of one build, in order.
pub type Lines = vec::IntoIter<Line>;

const CRATES: [&str; 24] = [
    "libc",
    "cfg-if",
    "memchr",
    "itoa",
    "once_cell",
    "bytes",
    "pin-project-lite",
    "smallvec",
    "serde",
    "serde_json",
    "parking_lot",
    "tokio",
    "tracing",
    "http",
    "hyper",
    "h2",
    "tower",
    "prost",
    "tonic",
    "axum",
    "regex",
    "clap",
    "rustls",
    "otto-sample",
];

const SUITES: [&str; 6] = ["auth", "checkout", "payments", "search", "stream", "übersetzung"];

const CASES: [&str; 8] = [
    "accepts_a_valid_request",
    "refuses_an_empty_name",
    "keeps_the_order",
    "survives_a_restart",
    "handles_unicode_한국어_✓",
    "times_out_when_the_peer_is_silent",
    "retries_with_backoff",
    "is_idempotent",
];

struct Printer {
    rng: Rng,
    lines: Vec<Line>,
}

/// The whole build; a build is some hundred lines, so they are made at once.
pub(super) fn lines(seed: u64, task: &TaskId, number: u32, fails: bool) -> Lines {
    let mut printer = Printer { rng: Rng::with_seed(seed), lines: Vec::new() };
    printer.clone_repository(task, number);
    printer.install_dependencies();
    printer.compile();
    let failed_case = printer.test(fails);
    match failed_case {
        Some(case) => printer.fail(&case),
        None => printer.publish(task),
    }
    printer.lines.into_iter()
}

impl Printer {
    fn print(&mut self, level: &'static str, source: &'static str, message: impl Into<String>) {
        let effort = 1;
        self.lines.push(Line { level, source, message: message.into(), effort });
    }

    fn out(&mut self, message: impl Into<String>) {
        self.print("INFO", "stdout", message);
    }

    fn err(&mut self, level: &'static str, message: impl Into<String>) {
        self.print(level, "stderr", message);
    }

    /// The last line took longer.
    fn effort(&mut self, effort: u32) {
        if let Some(line) = self.lines.last_mut() {
            line.effort = effort;
        }
    }

    fn step(&mut self, number: u32, title: &str) {
        self.out(format!("\x1b[1;36m▶ step {number}/5\x1b[0m \x1b[1m{title}\x1b[0m"));
        self.effort(3);
    }

    fn version(&mut self) -> String {
        let rng = &mut self.rng;
        format!("{}.{}.{}", rng.u8(0..3), rng.u8(0..40), rng.u8(0..20))
    }

    fn clone_repository(&mut self, task: &TaskId, number: u32) {
        self.step(1, "checkout");
        self.print("DEBUG", "stdout", format!("runner {number} picked up {task}"));
        self.out("$ git clone --depth 1 https://git.example/otto/sample.git");
        self.err("INFO", "Cloning into 'sample'...");
        let objects = self.rng.u32(800..4000);
        self.err("INFO", progress("Receiving objects", objects));
        self.err("INFO", progress("Resolving deltas", objects / 3));
        let commit = self.rng.u64(..);
        self.out(format!("HEAD is now at {:07x} fix: don't lose the last line 🎉", commit >> 36));
        self.out("");
    }

    fn install_dependencies(&mut self) {
        self.step(2, "dependencies");
        self.out("    \x1b[1;32mUpdating\x1b[0m registry index");
        self.effort(4);
        for name in CRATES {
            let version = self.version();
            self.out(format!("  \x1b[1;32mDownloaded\x1b[0m {name} v{version}"));
        }
        let size_kib = self.rng.u32(9_000..40_000);
        self.out(format!("  \x1b[1;32mDownloaded\x1b[0m {} crates ({size_kib} KiB)", CRATES.len()));
        self.out("");
    }

    fn compile(&mut self) {
        self.step(3, "build");
        for name in CRATES {
            let version = self.version();
            self.out(format!("   \x1b[1;32mCompiling\x1b[0m {name} v{version}"));
            let effort = self.rng.u32(1..6);
            self.effort(effort);
            if self.rng.u8(0..6) == 0 {
                self.warning(name);
            }
        }
        let seconds = f64::from(self.rng.u32(2_000..9_000)) / 100.0;
        self.out(format!("    \x1b[1;32mFinished\x1b[0m release profile in {seconds:.2}s"));
        self.out("");
    }

    fn warning(&mut self, name: &str) {
        let line = self.rng.u32(10..900);
        self.err("WARN", "\x1b[1;33mwarning\x1b[0m\x1b[1m: unused variable: `retries`\x1b[0m");
        self.err("WARN", format!("  \x1b[1;34m-->\x1b[0m {name}/src/lib.rs:{line}:9"));
        self.err("WARN", "   \x1b[1;34m|\x1b[0m");
        self.err("WARN", format!("\x1b[1;34m{line} |\x1b[0m     let retries = 3;"));
        self.err(
            "WARN",
            "   \x1b[1;34m|\x1b[0m         \x1b[1;33m^^^^^^^\x1b[0m help: try `_retries`",
        );
        self.err("WARN", "");
    }

    /// The name of the failed case, when it is to fail.
    fn test(&mut self, fails: bool) -> Option<String> {
        self.step(4, "test");
        let failing =
            fails.then(|| (self.rng.usize(1..SUITES.len()), self.rng.usize(..CASES.len())));
        let mut failed = None;
        for (suite_index, suite) in SUITES.iter().enumerate() {
            self.out(format!("running {} tests of {suite}", CASES.len()));
            for (case_index, case) in CASES.iter().enumerate() {
                let name = format!("{suite}::{case}");
                if failing == Some((suite_index, case_index)) {
                    self.out(format!("test {name} ... \x1b[31mFAILED\x1b[0m"));
                    failed = Some(name);
                } else {
                    self.out(format!("test {name} ... \x1b[32mok\x1b[0m"));
                }
            }
            self.out("");
        }
        failed
    }

    fn fail(&mut self, case: &str) {
        let line = self.rng.u32(20..400);
        self.err("ERROR", format!("---- {case} stdout ----"));
        self.err("ERROR", format!("thread '{case}' panicked at tests/{line}.rs:{line}:5:"));
        self.err("ERROR", "assertion `left == right` failed: the last line is missing");
        self.err("ERROR", "  left: 999");
        self.err("ERROR", " right: 1000");
        self.err("ERROR", "stack backtrace:");
        for (depth, frame) in
            ["std::panicking::begin_panic", "core::panicking::assert_failed", case]
                .iter()
                .enumerate()
        {
            self.err("ERROR", format!("   {depth}: {frame}"));
            self.err("ERROR", format!("             at ./src/lib.rs:{}:9", line + depth as u32));
        }
        self.err("ERROR", "");
        self.err("ERROR", "\x1b[1;31merror\x1b[0m: test failed, to rerun pass `--test sample`");
        self.err("ERROR", "\x1b[1;31m✗ build failed\x1b[0m with exit code 101");
    }

    fn publish(&mut self, task: &TaskId) {
        self.step(5, "publish");
        self.out(progress("Uploading artifact", 64));
        let digest = self.rng.u128(..);
        self.out(format!("pushed registry.example/otto/{task}@sha256:{digest:032x}"));
        self.out("\x1b[1;32m✓ build succeeded\x1b[0m");
    }
}

/// A progress bar as it is captured: one line, repainted by carriage returns.
fn progress(what: &str, total: u32) -> String {
    let painted =
        |percent: u32| format!("{what}: {percent:3}% ({}/{total})", total * percent / 100);
    let mut bar = [0, 25, 50, 75, 100].map(painted).join("\r");
    bar.push_str(", done.");
    bar
}
