//! Metrics, as a scraper gets them.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{TestServer, get, within};

/// Every series with its value at one moment.
#[derive(Debug)]
pub(super) struct Scrape {
    series: BTreeMap<String, f64>,
    /// The metrics' names, without what a histogram's series have at their end.
    pub(super) names: BTreeSet<String>,
}

impl Scrape {
    /// Those of `server`'s HTTP port.
    pub(super) async fn of(server: &TestServer) -> Self {
        Self::at(&server.root("/metrics")).await
    }

    pub(super) async fn at(url: &str) -> Self {
        let response = get(url, None).await;
        assert_eq!(response.status(), 200, "{response:?}");
        Self::read(&response.text().await.unwrap())
    }

    fn read(text: &str) -> Self {
        let describing = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let names = describing.map(|line| line.split(' ').next().unwrap().to_owned()).collect();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let series = lines.map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        });
        Self { series: series.collect(), names }
    }

    /// The value of `series`, such as `otto_entries_total{outcome="kept"}`.
    pub(super) fn value(&self, series: &str) -> f64 {
        let value = self.series.get(series);
        *value.unwrap_or_else(|| panic!("no {series} among {:#?}", self.series))
    }

    /// Checks that the series have these values.
    pub(super) fn has(&self, expected: &[(&str, f64)]) {
        for (series, value) in expected {
            assert_eq!(self.value(series), *value, "{series}");
        }
    }
}

/// Scrapes until `series` has `value`, and returns that scrape.
pub(super) async fn scraped_once(server: &TestServer, series: &str, value: f64) -> Scrape {
    within(series, async {
        loop {
            let scrape = Scrape::of(server).await;
            if scrape.value(series) == value {
                return scrape;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}
