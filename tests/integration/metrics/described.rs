//! Every metric is described, and somebody looks at it.

use std::collections::BTreeSet;
use std::path::Path;

use super::scrape::Scrape;
use crate::support::TestServer;

fn file(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The metrics that `text` names. What a histogram's series end in is left out.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("otto_") && !word.starts_with("otto_handler"));
    let metric = |word: &str| {
        let ends = ["_bucket", "_sum", "_count"];
        ends.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word).to_owned()
    };
    ours.map(metric).collect()
}

/// The metrics that have a row in the page on metrics.
fn described() -> BTreeSet<String> {
    let page = file("docs/metrics.md");
    page.lines()
        .filter(|line| line.starts_with("| `otto_"))
        .filter_map(|line| line.split('`').nth(1))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn the_page_on_metrics_has_a_row_for_each_and_for_no_other() {
    let server = TestServer::start().await;
    assert_eq!(described(), Scrape::of(&server).await.names);
}

#[test]
fn the_dashboard_or_the_alerts_show_each_metric_and_no_other() {
    let mut shown = named(&file("deploy/grafana/otto-handler.json"));
    shown.extend(named(&file("deploy/prometheus/rules.yaml")));
    assert_eq!(described(), shown);
}
