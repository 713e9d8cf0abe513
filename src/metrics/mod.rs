//! The server's numbers as Prometheus reads them.
//!
//! Nothing is counted here: what is counted elsewhere is read when somebody asks ([`Metrics::write`]). Names have
//! the prefix `otto_` and their unit; no label holds a task or a worker, so there are as many series on the first
//! day as after a year. `docs/metrics.md` describes each, which a test checks.

mod all_stats;
mod families;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text, text};
use prometheus_client::registry::Registry;

pub use all_stats::{AllStats, ReadingStats, TransportStats};
use writer::Writer;

/// Which text format is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsFormat {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The text format of Prometheus, version 0.0.4.
    Prometheus,
}

impl MetricsFormat {
    /// The format that a header `Accept` asks for: OpenMetrics where it is named.
    pub fn asked_for(accept: Option<&str>) -> Self {
        let names_it = accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
        if names_it { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
        }
    }
}

/// What is read on each scrape of one server.
#[derive(Debug)]
pub struct Metrics(Registry);

impl Metrics {
    /// Reads the numbers with `read`. The server counts as started now.
    pub fn new(read: impl Fn() -> AllStats + Send + Sync + 'static) -> Self {
        let mut registry = Registry::default();
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let collector = ServerCollector { read: Box::new(read), started: started.as_secs_f64() };
        registry.register_collector(Box::new(collector));
        Self(registry)
    }

    /// The numbers now.
    ///
    /// # Errors
    /// When one of them cannot be written in this format, which is a mistake of this program.
    pub fn write(&self, format: MetricsFormat) -> Result<String, fmt::Error> {
        let mut out = String::new();
        match format {
            MetricsFormat::OpenMetrics => text::encode(&mut out, &self.0)?,
            MetricsFormat::Prometheus => prometheus_text::encode(&mut out, &self.0)?,
        }
        Ok(out)
    }
}

struct ServerCollector {
    read: Box<dyn Fn() -> AllStats + Send + Sync>,
    /// In seconds since the Unix epoch.
    started: f64,
}

impl fmt::Debug for ServerCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCollector").finish_non_exhaustive()
    }
}

impl Collector for ServerCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        families::write(&mut Writer::new(encoder), &(self.read)(), self.started)
    }
}
