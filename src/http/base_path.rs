//! The path below which the server answers, for a proxy that gives it a part of its own paths.

use std::convert::Infallible;
use std::str::FromStr;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Redirect, Response};
use http::uri::PathAndQuery;
use http::{Request, Uri};
use tower::{ServiceExt, service_fn};

use super::problem::Problem;

/// Answered at the root too: what looks after the process does not come through the proxy.
const AT_ROOT: [&str; 4] = ["/health", "/livez", "/metrics", "/readyz"];

/// A path such as `/logs`; empty for the root. Has no slash at its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BasePath(String);

/// A text that is no path to answer below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a path such as /logs, of letters, digits, '-', '_', '.' and '~'")]
pub struct BasePathError;

impl FromStr for BasePath {
    type Err = BasePathError;

    fn from_str(text: &str) -> Result<Self, BasePathError> {
        let path = text.strip_suffix('/').unwrap_or(text);
        if path.is_empty() {
            return Ok(Self::default());
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
        let is_segment = |segment: &str| {
            !segment.is_empty() && segment.chars().all(is_plain) && !matches!(segment, "." | "..")
        };
        let segments = path.strip_prefix('/').ok_or(BasePathError)?;
        if segments.split('/').all(is_segment) { Ok(Self(path.into())) } else { Err(BasePathError) }
    }
}

impl BasePath {
    /// `path`, which begins with a slash, below it.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// `path` below it, where it is not there already.
    pub(super) fn join_once(&self, path: &str) -> String {
        match self.below(path) {
            Some(_) => path.to_owned(),
            None => self.join(path),
        }
    }

    /// What `path` is below it.
    fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(&self.0).filter(|rest| rest.starts_with('/'))
    }

    /// Answers what `router` answers, below this path.
    pub(super) fn serve(&self, router: Router) -> Router {
        if self.0.is_empty() {
            return router;
        }
        let base = self.clone();
        Router::new().fallback_service(service_fn(move |request: Request<Body>| {
            let (router, base) = (router.clone(), base.clone());
            async move {
                Ok::<_, Infallible>(match base.strip(request) {
                    Ok(request) => router.oneshot(request).await?,
                    Err(response) => response,
                })
            }
        }))
    }

    /// The request as it is below the path; a response where there is nothing.
    #[expect(clippy::result_large_err, reason = "the response is sent at once")]
    fn strip(&self, request: Request<Body>) -> Result<Request<Body>, Response> {
        let path = request.uri().path();
        if AT_ROOT.contains(&path) {
            return Ok(request);
        }
        if path == self.0 {
            // Without the slash a browser would look for relative addresses beside it.
            return Err(Redirect::permanent(&self.join("/")).into_response());
        }
        let Some(rest) = self.below(path) else {
            return Err(Problem::outside(path, &self.join("/")).into_response());
        };
        let rest = match request.uri().query() {
            Some(query) => format!("{rest}?{query}"),
            None => rest.to_owned(),
        };
        let (mut head, body) = request.into_parts();
        let mut uri = head.uri.into_parts();
        uri.path_and_query = PathAndQuery::try_from(rest).ok();
        head.uri = Uri::from_parts(uri).unwrap_or_default();
        Ok(Request::from_parts(head, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_begins_with_a_slash_and_holds_nothing_that_must_be_encoded() {
        for (text, joined) in [
            ("/logs", "/logs/x"),
            ("/logs/", "/logs/x"),
            ("/a/b-c.d", "/a/b-c.d/x"),
            ("/", "/x"),
            ("", "/x"),
        ] {
            assert_eq!(text.parse::<BasePath>().unwrap().join("/x"), joined, "{text}");
        }
        for bad in ["logs", "//", "/a//b", "/a/../b", "/.", "/a b", "/a?b", "/ä", "/%41", "/a\"b"]
        {
            assert_eq!(bad.parse::<BasePath>(), Err(BasePathError), "{bad}");
        }
    }

    #[test]
    fn a_path_is_joined_once() {
        let base: BasePath = "/logs".parse().unwrap();
        assert_eq!(base.join_once("/tasks/a"), "/logs/tasks/a");
        assert_eq!(base.join_once("/logs/tasks/a"), "/logs/tasks/a");
        assert_eq!(base.join_once("/logsandmore"), "/logs/logsandmore");
    }
}
