//! What an operator sees of the HTTP side: metrics, what was refused, request ids and the access log.

pub(super) mod access_log;
pub(super) mod peer;
pub(super) mod problem_counts;
pub(super) mod reading;
pub(super) mod request_id;
pub(super) mod scrape;
