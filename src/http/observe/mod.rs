//! What an operator sees of the HTTP side: metrics, and what was refused.

pub(super) mod problem_counts;
pub(super) mod reading;
pub(super) mod scrape;
