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
    is_quiet: bool,
    drops: AtomicU64,
}

impl Console {
    /// A quiet one prints only what went wrong.
    pub(super) fn stderr(is_quiet: bool) -> Self {
        Self { is_terminal: stderr().is_terminal(), is_quiet, drops: AtomicU64::new(0) }
    }

    /// Where the log can be read.
    pub(super) fn link(&self, url: &str) {
        if !self.is_quiet {
            self.print(&format!("follow it at {url}"));
        }
    }

    /// Why nothing could be done.
    pub(super) fn failure(&self, text: &str) {
        self.print(text);
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
        if !self.is_terminal || self.is_quiet {
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
        if let Err(Error::Unauthenticated(_)) = result {
            self.print("give a token that the server takes with --token or OTTO_PUSH_TOKEN");
        }
        let Progress { pushed, acknowledged, dropped } = progress;
        let undelivered = pushed - acknowledged - dropped + input.late_lines;
        if undelivered > 0 {
            self.print(&format!("{undelivered} lines were not delivered"));
        }
        if self.is_quiet {
            return;
        }
        let read = pushed + input.late_lines;
        let reconnects = result.as_ref().map_or(0, |report| report.reconnects);
        self.print(&format!(
            "{read} lines in {:.1} s: {acknowledged} kept, {dropped} dropped, \
             {undelivered} not delivered, {reconnects} reconnects",
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
    /// Whether every line of it could be offered.
    pub(super) fn is_whole(&self) -> bool {
        self.late_lines == 0 && self.failure.is_none()
    }

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
            warnings.push(format!("the input cannot be read: {failure}"));
        }
        warnings
    }
}
