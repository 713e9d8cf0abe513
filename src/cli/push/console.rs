//! What `push` prints on standard error.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::client::push::{Error, Notice, Progress, Pusher, Report};
use crate::client::spool::{SpoolNotice, SpoolReport, SpoolTotals};

use super::input::InputReport;
use crate::cli::words::count;

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

    pub(super) fn notice(&self, notice: &Notice) {
        if let Some(text) = self.text(notice) {
            self.print(&text);
        }
    }

    /// What is said to `notice`, if anything is.
    fn text(&self, notice: &Notice) -> Option<String> {
        match notice {
            Notice::Dropped(dropped) => {
                let is_printed = self.drops.fetch_add(1, Ordering::Relaxed) < PRINTED_DROPS;
                let text =
                    || format!("the server dropped line {}: {}", dropped.line, dropped.message);
                is_printed.then(text)
            }
            Notice::Disconnected { reason, retry_in } => {
                let seconds = retry_in.as_secs_f32();
                Some(format!("{reason}; trying again in {seconds:.1} s"))
            }
            Notice::StatusRefused { message } => {
                Some(format!("the server refused the worker's status: {message}"))
            }
        }
    }

    /// What happened to a file of the spool that is sent.
    pub(super) fn spool_notice(&self, notice: &SpoolNotice) {
        let text = match notice {
            SpoolNotice::Foreign(path) => {
                Some(format!("{path:?} in the spool is no spool file; it is left alone"))
            }
            SpoolNotice::Unusable(error) => Some(format!("{error}; it is left alone")),
            SpoolNotice::CutOff { path, lines } => Some(format!(
                "{path:?} was cut off when it was written; its {lines} whole lines were sent"
            )),
            SpoolNotice::NotWhole { path, lost } => {
                Some(format!("{path:?} was sent; {lost} more lines had not fit into the spool"))
            }
            SpoolNotice::Refused { path, reason } => {
                Some(format!("{path:?} cannot be sent, and stays: {reason}"))
            }
            SpoolNotice::Push(notice) => self.text(notice).map(|text| format!("spool: {text}")),
        };
        if let Some(text) = text {
            self.print(&text);
        }
    }

    /// What was sent from the spool.
    pub(super) fn spool_totals(&self, totals: SpoolTotals) {
        let SpoolTotals { files, lines, dropped, waiting } = totals;
        if files > 0 && !self.is_quiet {
            let kept = format!("{lines} lines of {files} earlier pushes were sent from the spool");
            self.print(&format!("{kept}, {dropped} dropped"));
        }
        if waiting > 0 {
            self.print(&format!("{waiting} files in the spool could not be sent, and stay"));
        }
    }

    /// What was written to the spool.
    pub(super) fn spooled(&self, report: &SpoolReport) {
        if let Some(path) = &report.path {
            let end = if report.has_end { " and the worker's end" } else { "" };
            let lines = count(report.lines, "line");
            let verb = if end.is_empty() && report.lines == 1 { "is" } else { "are" };
            self.print(&format!(
                "{lines}{end} {verb} spooled in {path:?}; the next push with this --spool sends \
                 them"
            ));
        }
        if let Some(failure) = &report.failure {
            self.print(&format!("spooling failed: {failure}"));
        }
        if report.lost > 0 {
            self.print(&format!("{} lines are not in the spool, and are lost", report.lost));
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
        spooled: u64,
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
            let verb = if undelivered == 1 { "was" } else { "were" };
            self.print(&format!("{} {verb} not delivered", count(undelivered, "line")));
        }
        if self.is_quiet {
            return;
        }
        let read = pushed + input.late_lines;
        let reconnects = result.as_ref().map_or(0, |report| report.reconnects);
        let spooled = if spooled > 0 { format!(" ({spooled} spooled)") } else { String::new() };
        self.print(&format!(
            "{} in {:.1} s: {acknowledged} kept, {dropped} dropped, \
             {undelivered} not delivered{spooled}, {}",
            count(read, "line"),
            elapsed.as_secs_f32(),
            count(reconnects, "reconnect")
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
            let lines = count(self.invalid_lines, "line");
            warnings.push(format!("{lines} had invalid UTF-8, which was replaced by U+FFFD"));
        }
        if self.cut_lines > 0 {
            let lines = count(self.cut_lines, "line");
            warnings.push(format!("of {lines} longer than 16 MiB only the head was sent"));
        }
        if let Some(failure) = &self.failure {
            warnings.push(format!("the input cannot be read: {failure}"));
        }
        warnings
    }
}
