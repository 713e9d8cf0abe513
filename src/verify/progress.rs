//! How a run fares, told now and then.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::metrics::{Counts, Metrics, Usage, disk_bytes};

/// A moment of a run.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Since it began.
    pub elapsed: Duration,
    /// Counts since it began, and acknowledgement times since the last one.
    pub counts: Counts,
    /// What the server's process takes, where it is our own.
    pub usage: Option<Usage>,
    /// What the data directory takes, in bytes, where it is our own.
    pub disk_bytes: Option<u64>,
}

/// Told each moment; must not block for long.
pub type Observer = Arc<dyn Fn(Progress) + Send + Sync>;

/// Tells `observer` every `interval`, without end.
pub(super) async fn tell(
    observer: Observer,
    interval: Duration,
    metrics: Arc<Metrics>,
    data: Option<PathBuf>,
) {
    let begun = Instant::now();
    loop {
        tokio::time::sleep(interval).await;
        let (elapsed, counts) = (begun.elapsed(), metrics.take());
        let (usage, disk_bytes) = (metrics.usage(), data.as_deref().map(disk_bytes));
        observer(Progress { elapsed, counts, usage, disk_bytes });
    }
}
