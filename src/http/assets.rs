//! The viewer's files, embedded in the binary.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode, Uri};

use super::problem::Problem;

// `FILES: &[(path below web/, bytes)]`
include!(concat!(env!("OUT_DIR"), "/web_files.rs"));

const INDEX: &str = "index.html";

/// A file, and a tag that changes with its bytes.
struct Asset {
    bytes: &'static [u8],
    media_type: &'static str,
    etag: String,
}

static BY_PATH: LazyLock<HashMap<&'static str, Asset>> =
    LazyLock::new(|| FILES.iter().map(|(path, bytes)| (*path, Asset::new(path, bytes))).collect());

impl Asset {
    fn new(path: &str, bytes: &'static [u8]) -> Self {
        let etag = format!("\"{:08x}-{:x}\"", crc32c::crc32c(bytes), bytes.len());
        Self { bytes, media_type: media_type(path), etag }
    }

    fn response(&self, request: &HeaderMap) -> Response {
        let headers = [
            (ETAG, self.etag.as_str()),
            // Revalidated each time, so that no page mixes files of two releases.
            (CACHE_CONTROL, "no-cache"),
            (CONTENT_SECURITY_POLICY, "default-src 'self'"),
        ];
        if self.matches_tag_of(request) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, [(CONTENT_TYPE, self.media_type)], self.bytes).into_response()
    }

    /// Whether the client has this version already (RFC 9110 §13.1.2).
    fn matches_tag_of(&self, request: &HeaderMap) -> bool {
        let known = request.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        let is_this = |tag: &str| tag == "*" || tag.trim_start_matches("W/") == self.etag;
        known.is_some_and(|tags| tags.split(',').map(str::trim).any(is_this))
    }
}

/// The viewer's page; the path decides in the browser which view it shows.
pub(super) async fn index(uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    find(INDEX, &uri, &headers)
}

/// A script, style or image that the page loads.
pub(super) async fn file(
    Path(path): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    find(&path, &uri, &headers)
}

fn find(path: &str, uri: &Uri, headers: &HeaderMap) -> Result<Response, Problem> {
    let file = BY_PATH.get(path).ok_or_else(|| Problem::no_such_route(uri.path()))?;
    Ok(file.response(headers))
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(tags: &str) -> HeaderMap {
        HeaderMap::from_iter([(IF_NONE_MATCH, tags.parse().unwrap())])
    }

    #[test]
    fn a_file_is_sent_with_its_type_and_not_again_to_a_client_that_has_it() {
        let file = Asset::new("js/main.js", b"let a;");
        let response = file.response(&HeaderMap::new());
        assert_eq!(response.headers()[CONTENT_TYPE], "text/javascript; charset=utf-8");
        assert_eq!(response.headers()[CONTENT_SECURITY_POLICY], "default-src 'self'");
        let tag = response.headers()[ETAG].to_str().unwrap();
        for tags in [tag, &format!("\"old\", W/{tag}"), "*"] {
            assert_eq!(file.response(&asking(tags)).status(), StatusCode::NOT_MODIFIED, "{tags}");
        }
        assert_eq!(file.response(&asking("\"old\"")).status(), StatusCode::OK);
        let other = Asset::new("js/main.js", b"let b;");
        assert_ne!(other.etag, tag);
    }
}
