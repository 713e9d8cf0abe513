//! Writing one metric with what describes it.

use std::fmt;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::histogram::HistogramSnapshot;

/// Writes metrics by their whole names, such as `otto_entry_bytes_total`; a unit in the name is also told as such.
pub(super) struct Writer<'a>(DescriptorEncoder<'a>);

/// What a histogram's numbers count.
#[derive(Debug, Clone, Copy)]
pub(super) enum HistogramUnit {
    /// Nanoseconds, written as seconds.
    Nanoseconds,
    /// What the name says.
    Pieces,
}

impl<'a> Writer<'a> {
    pub(super) fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    /// A number that goes up and down.
    pub(super) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        value: impl EncodeGaugeValue,
    ) -> fmt::Result {
        self.describe(name, help, MetricType::Gauge, |mut metric| metric.encode_gauge(&value))
    }

    /// A gauge for each value of `label`.
    pub(super) fn gauges(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: impl IntoIterator<Item = (&'static str, u64)>,
    ) -> fmt::Result {
        self.describe(name, help, MetricType::Gauge, |mut metric| {
            values.into_iter().try_for_each(|(of, value)| {
                metric.encode_family(&[(label, of)])?.encode_gauge(&value)
            })
        })
    }

    /// A gauge for each of `states`: 1 for the `current` one, and 0 for the others.
    pub(super) fn state(
        &mut self,
        name: &str,
        help: &str,
        states: &[&'static str],
        current: &str,
    ) -> fmt::Result {
        let values = states.iter().map(|state| (*state, u64::from(*state == current)));
        self.gauges(name, help, "state", values)
    }

    /// A number that only grows; its name ends in `_total`.
    pub(super) fn counter(
        &mut self,
        name: &str,
        help: &str,
        value: impl EncodeCounterValue,
    ) -> fmt::Result {
        self.describe(name, help, MetricType::Counter, |mut metric| count(&mut metric, &value))
    }

    /// A counter for each value of `label`.
    pub(super) fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: impl IntoIterator<Item = (&'static str, u64)>,
    ) -> fmt::Result {
        self.describe(name, help, MetricType::Counter, |mut metric| {
            values.into_iter().try_for_each(|(of, value)| {
                count(&mut metric.encode_family(&[(label, of)])?, &value)
            })
        })
    }

    /// How often something had which size or took how long.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        unit: HistogramUnit,
        counted: &HistogramSnapshot,
    ) -> fmt::Result {
        let scaled = |value: u64| match unit {
            HistogramUnit::Nanoseconds => value as f64 / 1e9,
            HistogramUnit::Pieces => value as f64,
        };
        let bucket =
            |(bound, count): (Option<u64>, u64)| (bound.map_or(f64::INFINITY, scaled), count);
        let buckets: Vec<_> = counted.buckets().map(bucket).collect();
        let (sum, count) = (scaled(counted.sum()), counted.count());
        self.describe(name, help, MetricType::Histogram, |mut metric| {
            metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
        })
    }

    /// A text as a label of the constant 1; its name ends in `_info`.
    pub(super) fn info(
        &mut self,
        name: &str,
        help: &str,
        label: (&'static str, &'static str),
    ) -> fmt::Result {
        self.describe(name, help, MetricType::Info, |mut metric| metric.encode_info(&[label]))
    }

    fn describe(
        &mut self,
        name: &str,
        help: &str,
        of_type: MetricType,
        write: impl FnOnce(MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        // The encoder adds what the format wants at the end.
        let suffix = match of_type {
            MetricType::Counter => "_total",
            MetricType::Info => "_info",
            MetricType::Gauge | MetricType::Histogram | MetricType::Unknown => "",
        };
        let family = name.strip_suffix(suffix).ok_or(fmt::Error)?;
        let unit = [Unit::Bytes, Unit::Seconds].into_iter().find_map(|unit| {
            let base = family.strip_suffix(unit.as_str())?.strip_suffix('_')?;
            Some((base, unit))
        });
        match unit {
            Some((base, unit)) => {
                write(self.0.encode_descriptor(base, help, Some(&unit), of_type)?)
            }
            None => write(self.0.encode_descriptor(family, help, None, of_type)?),
        }
    }
}

fn count(metric: &mut MetricEncoder<'_>, value: &impl EncodeCounterValue) -> fmt::Result {
    metric.encode_counter::<NoLabelSet, _, u64>(value, None)
}
