//! Which pages may open a WebSocket: no browser asks before it does, and it sends cookies along.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderValue, Uri};

use crate::http::problem::Problem;

/// Refuses pages of other origins than this server's and the front end's. What is no browser sends no
/// origin.
pub(super) fn check(headers: &HeaderMap, frontend: &HeaderValue) -> Result<(), Problem> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let is_own = |host: &HeaderValue| authority(origin).is_some_and(|own| own == host.as_bytes());
    if origin == frontend || headers.get(HOST).is_some_and(is_own) {
        Ok(())
    } else {
        Err(Problem::foreign_origin(&String::from_utf8_lossy(origin.as_bytes())))
    }
}

fn authority(origin: &HeaderValue) -> Option<Vec<u8>> {
    let uri: Uri = origin.to_str().ok()?.parse().ok()?;
    uri.authority().map(|authority| authority.as_str().as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_allowed(origin: &'static str) -> bool {
        let headers = [(HOST, "logs.test:4000"), (ORIGIN, origin)];
        let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
        check(&HeaderMap::from_iter(headers), &HeaderValue::from_static("http://front.test"))
            .is_ok()
    }

    #[test]
    fn only_this_servers_pages_and_the_front_ends_may_open_one() {
        for good in ["http://logs.test:4000", "https://logs.test:4000", "http://front.test"] {
            assert!(is_allowed(good), "{good}");
        }
        for bad in ["http://evil.test", "http://logs.test", "http://front.test:81", "null"] {
            assert!(!is_allowed(bad), "{bad}");
        }
        let none = HeaderMap::new();
        assert!(check(&none, &HeaderValue::from_static("http://front.test")).is_ok());
    }
}
