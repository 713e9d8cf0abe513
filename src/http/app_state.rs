//! What all handlers share.

use std::sync::Arc;

use http::HeaderValue;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::auth::login_codes::LoginCodes;
use super::observe::problem_counts::ProblemCounts;
use super::observe::reading::ReadingSources;
use super::options::{HttpOptions, OptionsError};
use super::reader_budget::ReaderBudget;
use super::viewer_permits::ViewerPermits;
use crate::ingest::Intake;
use crate::log_limiter::LogLimiter;
use crate::metrics::Metrics;
use crate::stats::ServerStats;
use crate::store::WriteState;
use crate::subscribe::{Source, Ticks};

/// The handlers' state on one runtime. Clones share it, and the ticks of that runtime.
#[derive(Clone)]
pub struct AppState {
    shared: Arc<AppShared>,
    /// When this runtime's busy viewers are read for.
    ticks: Ticks,
}

struct AppShared {
    options: HttpOptions,
    frontend: HeaderValue,
    source: Source,
    intake: Intake,
    stats: ServerStats,
    write_state: watch::Receiver<WriteState>,
    drain: CancellationToken,
    viewer_permits: ViewerPermits,
    reader_budget: ReaderBudget,
    problems: ProblemCounts,
    viewer_log: Arc<LogLimiter>,
    metrics: Metrics,
    login_codes: LoginCodes,
}

impl AppState {
    /// Serves what `source` reads, and takes ends of tasks into `intake`; ends streams once `drain` is cancelled.
    ///
    /// # Errors
    /// When the server cannot run with one of `options`.
    pub fn new(
        options: HttpOptions,
        source: Source,
        intake: Intake,
        stats: ServerStats,
        drain: CancellationToken,
    ) -> Result<Self, OptionsError> {
        let viewer_permits = ViewerPermits::new(options.max_viewers);
        let reader_budget = ReaderBudget::new(options.reader_bytes);
        let (write_state, problems) = (source.log.write_state(), ProblemCounts::default());
        let reading = ReadingSources {
            hub: source.hub.clone(),
            viewer_permits: viewer_permits.clone(),
            reader_budget: reader_budget.clone(),
            problems: problems.clone(),
            write_state: write_state.clone(),
            drain: drain.clone(),
        };
        let shared = AppShared {
            frontend: options.check()?,
            metrics: reading.metrics(stats.clone()),
            write_state,
            viewer_permits,
            reader_budget,
            problems,
            viewer_log: Arc::default(),
            login_codes: LoginCodes::default(),
            options,
            source,
            intake,
            stats,
            drain,
        };
        let ticks = shared.source.ticks.clone();
        Ok(Self { shared: Arc::new(shared), ticks })
    }

    /// Single-use codes that sign a browser in.
    pub fn login_codes(&self) -> &LoginCodes {
        &self.shared.login_codes
    }

    /// `path`, which begins with a slash, below the path that everything is answered below.
    pub fn path(&self, path: &str) -> String {
        self.options().base_path.join(path)
    }

    /// How many viewers are connected.
    pub fn active_viewers(&self) -> usize {
        self.shared.viewer_permits.in_use()
    }

    /// The same, served on another runtime: its viewers wait for ticks of their own.
    pub(super) fn on_another_runtime(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), ticks: self.ticks.for_another_runtime() }
    }

    pub(super) fn options(&self) -> &HttpOptions {
        &self.shared.options
    }

    /// The origin that may ask from a browser.
    pub(super) fn frontend(&self) -> &HeaderValue {
        &self.shared.frontend
    }

    pub(super) fn stats(&self) -> &ServerStats {
        &self.shared.stats
    }

    pub(super) fn source(&self) -> &Source {
        &self.shared.source
    }

    /// The way into the log.
    pub(super) fn intake(&self) -> &Intake {
        &self.shared.intake
    }

    /// What a viewer served here reads from.
    pub(super) fn viewer_source(&self) -> Source {
        Source { ticks: self.ticks.clone(), ..self.shared.source.clone() }
    }

    pub(super) fn viewer_permits(&self) -> &ViewerPermits {
        &self.shared.viewer_permits
    }

    /// Memory for what readers have not taken.
    pub(super) fn reader_budget(&self) -> &ReaderBudget {
        &self.shared.reader_budget
    }

    /// What was refused.
    pub(super) fn problems(&self) -> &ProblemCounts {
        &self.shared.problems
    }

    /// How often ends of viewers are logged.
    pub(super) fn viewer_log(&self) -> Arc<LogLimiter> {
        Arc::clone(&self.shared.viewer_log)
    }

    /// All numbers, for Prometheus.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Whether the store takes entries, and why not.
    pub(super) fn write_state(&self) -> WriteState {
        self.shared.write_state.borrow().clone()
    }

    pub(super) fn drain(&self) -> &CancellationToken {
        &self.shared.drain
    }

    pub(super) fn is_draining(&self) -> bool {
        self.shared.drain.is_cancelled()
    }
}
