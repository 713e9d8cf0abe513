//! What `push` prints on standard error.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::client::push::{Error, Notice, Progress, Pusher, Report};

use super::input::InputReport;

/// So many dropped lines are printed one by one.
const PRINTED_DROPS: u64 = 10;

/// How often the progress line is printed.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

pub(super) struct Console {
    is_terminal: bool,
    drops: AtomicU64,
}

impl Console {
    pub(super) fn stderr() -> Self {
        Self { is_terminal: stderr().is_terminal(), drops: AtomicU64::new(0) }
    }

    pub(super) fn notice(&self, notice: Notice) {
        match notice {
            Notice::Dropped(dropped) => {
                if self.drops.fetch_add(1, Ordering::Relaxed) < PRINTED_DROPS {
                    self.print(&format!(
                        "the server dropped line {}: {}",
                        dropped.line, dropped.message
                    ));
                }
            }
            Notice::Disconnected { reason, retry_in } => {
                let seconds = retry_in.as_secs_f32();
                self.print(&format!("{reason}; trying again in {seconds:.1} s"));
            }
            Notice::StatusRefused { message } => {
                self.print(&format!("the server refused the worker's status: {message}"));
            }
        }
    }

    pub(super) fn stopping(&self) {
        self.print("stopping: sending what was read; a second signal stops at once");
    }

    /// Prints the counts until aborted; only on a terminal.
    pub(super) async fn show_progress(self: Arc<Self>, pusher: Pusher) {
        if !self.is_terminal {
            return;
        }
        let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
        let mut before = 0;
        loop {
            ticks.tick().await;
            let Progress { pushed, acknowledged, .. } = pusher.progress();
            let rate = (acknowledged - before) as f64 / PROGRESS_INTERVAL.as_secs_f64();
            before = acknowledged;
            let line = format!("\r\x1b[K{pushed} read, {acknowledged} kept, {rate:.0}/s");
            stderr().write_all(line.as_bytes()).ok();
        }
    }

    pub(super) fn summary(
        &self,
        result: &Result<Report, Error>,
        input: &InputReport,
        progress: Progress,
        elapsed: Duration,
    ) {
        for warning in input.warnings() {
            self.print(&warning);
        }
        if let Err(error) = result {
            self.print(&error.to_string());
        }
        let Progress { pushed, acknowledged, dropped } = progress;
        let unacked = pushed - acknowledged - dropped;
        let reconnects = result.as_ref().map_or(0, |report| report.reconnects);
        self.print(&format!(
            "{pushed} lines in {:.1} s: {acknowledged} kept, {dropped} dropped, \
             {unacked} unacknowledged, {reconnects} reconnects",
            elapsed.as_secs_f32()
        ));
    }

    /// Prints one line. Pushing goes on when standard error is closed.
    fn print(&self, text: &str) {
        let clear = if self.is_terminal { "\r\x1b[K" } else { "" };
        stderr().write_all(format!("{clear}otto-handler push: {text}\n").as_bytes()).ok();
    }
}

impl InputReport {
    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.invalid_lines > 0 {
            let lines = self.invalid_lines;
            warnings.push(format!("{lines} lines had invalid UTF-8, which was replaced by U+FFFD"));
        }
        if self.cut_lines > 0 {
            let lines = self.cut_lines;
            warnings
                .push(format!("{lines} lines are longer than 16 MiB, only their heads were sent"));
        }
        if let Some(failure) = &self.failure {
            warnings.push(format!("standard input cannot be read: {failure}"));
        }
        warnings
    }
}
