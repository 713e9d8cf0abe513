//! The viewer's files, embedded in the binary.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode, Uri};
use include_dir::{Dir, include_dir};

use super::problem::Problem;

/// The files below `web/`, by their path there.
static WEB: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/web");

const INDEX: &str = "index.html";

/// A file that browsers load, and the tag that changes with its bytes.
struct Asset {
    bytes: &'static [u8],
    media_type: &'static str,
    etag: String,
}

impl Asset {
    /// `None` for a path where nothing is, and for files that are there for developers.
    fn find(path: &str) -> Option<Self> {
        let media_type = media_type(path)?;
        WEB.get_file(path).map(|file| Self::new(file.contents(), media_type))
    }

    fn new(bytes: &'static [u8], media_type: &'static str) -> Self {
        let etag = format!("\"{:08x}-{:x}\"", crc32c::crc32c(bytes), bytes.len());
        Self { bytes, media_type, etag }
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
    let asset = Asset::find(path).ok_or_else(|| Problem::no_such_route(uri.path()))?;
    Ok(asset.response(headers))
}

/// Of the files that browsers load; `None` for others.
fn media_type(path: &str) -> Option<&'static str> {
    match path.rsplit_once('.')?.1 {
        "html" => Some("text/html; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        "png" => Some("image/png"),
        "woff2" => Some("font/woff2"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(tags: &str) -> HeaderMap {
        HeaderMap::from_iter([(IF_NONE_MATCH, tags.parse().unwrap())])
    }

    #[test]
    fn only_what_a_browser_loads_is_found() {
        let cases = [
            (INDEX, true),
            ("js/main.js", true),
            ("package.json", false),
            ("js", false),
            ("js/../index.html", false),
            ("missing.js", false),
        ];
        for (path, is_found) in cases {
            assert_eq!(Asset::find(path).is_some(), is_found, "{path}");
        }
    }

    #[test]
    fn a_file_is_sent_with_its_type_and_not_again_to_who_knows_its_tag() {
        let file = Asset::new(b"let a;", media_type("js/main.js").unwrap());
        let response = file.response(&HeaderMap::new());
        assert_eq!(response.headers()[CONTENT_TYPE], "text/javascript; charset=utf-8");
        assert_eq!(response.headers()[CONTENT_SECURITY_POLICY], "default-src 'self'");
        let tag = response.headers()[ETAG].to_str().unwrap();
        for tags in [tag, &format!("\"old\", W/{tag}"), "*"] {
            assert_eq!(file.response(&asking(tags)).status(), StatusCode::NOT_MODIFIED, "{tags}");
        }
        assert_eq!(file.response(&asking("\"old\"")).status(), StatusCode::OK);
        let other = Asset::new(b"let b;", file.media_type);
        assert_ne!(other.etag, tag);
    }
}
