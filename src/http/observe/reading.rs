//! Where the numbers of readers are read.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::problem_counts::ProblemCounts;
use crate::http::reader_budget::ReaderBudget;
use crate::http::viewer_permits::ViewerPermits;
use crate::hub::Hub;
use crate::metrics::{AllStats, Metrics, ReadingStats};
use crate::stats::ServerStats;
use crate::store::WriteState;

/// Where the numbers of readers are read.
#[derive(Debug, Clone)]
pub(in crate::http) struct ReadingSources {
    pub(in crate::http) hub: Hub,
    pub(in crate::http) viewer_permits: ViewerPermits,
    pub(in crate::http) reader_budget: ReaderBudget,
    pub(in crate::http) problems: ProblemCounts,
    pub(in crate::http) write_state: watch::Receiver<WriteState>,
    pub(in crate::http) drain: CancellationToken,
}

impl ReadingSources {
    /// These numbers, and those of `stats`.
    pub(in crate::http) fn metrics(self, stats: ServerStats) -> Metrics {
        Metrics::new(move || AllStats { server: stats.snapshot(), reading: self.read() })
    }

    fn read(&self) -> ReadingStats {
        let Self { hub, viewer_permits: viewers, reader_budget, problems, .. } = self;
        ReadingStats {
            is_ready: self.write_state.borrow().is_ok() && !self.drain.is_cancelled(),
            hub_bytes: hub.bytes(),
            hub_limit_bytes: hub.limit_bytes(),
            reader_bytes: reader_budget.used_bytes(),
            reader_limit_bytes: reader_budget.limit_bytes(),
            viewer_limit: viewers.limit(),
            refused_viewers: viewers.refused(),
            transports: viewers.transports(),
            replay_reads: hub.replays().reads.get(),
            lags: hub.replays().lags.get(),
            gaps: viewers.gaps(),
            problems: problems.all(),
        }
    }
}
