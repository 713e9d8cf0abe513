//! Why a server does not answer, in words.

use reqwest::Url;

use crate::causes::root_cause;

/// Why a request to `url` got no answer, or not a whole one.
pub(super) fn no_answer(url: &Url, error: &reqwest::Error) -> String {
    let origin = url.origin().ascii_serialization();
    let reason = if error.is_timeout() { "timed out".to_owned() } else { root_cause(error) };
    let what = if error.is_connect() { "cannot connect to" } else { "no whole answer from" };
    format!("{what} {origin}: {reason}")
}
