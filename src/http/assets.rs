//! The viewer's files, embedded in the binary.

use std::borrow::Cow;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode, Uri};
use include_dir::{Dir, include_dir};

use super::app_state::AppState;
use super::base_path::BasePath;
use super::problem::Problem;

/// The files below `web/`, by their path there.
static WEB: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/web");

const INDEX: &str = "index.html";

/// A file that browsers load, and the tag that changes with its bytes.
struct Asset {
    bytes: Cow<'static, [u8]>,
    media_type: &'static str,
    etag: String,
}

impl Asset {
    /// `None` for a path where nothing is, and for files that are there for developers.
    fn find(path: &str) -> Option<Self> {
        let media_type = media_type(path)?;
        WEB.get_file(path).map(|file| Self::new(file.contents().into(), media_type))
    }

    fn new(bytes: Cow<'static, [u8]>, media_type: &'static str) -> Self {
        let etag = format!("\"{:08x}-{:x}\"", crc32c::crc32c(&bytes), bytes.len());
        Self { bytes, media_type, etag }
    }

    /// A page whose addresses, which begin at the root, are below `base`.
    fn below(self, base: &BasePath) -> Self {
        let text = String::from_utf8_lossy(&self.bytes);
        let at = |before: &str| (format!("{before}/"), format!("{before}{}", base.join("/")));
        let (attribute, word) = (at("=\""), at(" "));
        let text = text.replace(&attribute.0, &attribute.1).replace(&word.0, &word.1);
        Self::new(text.into_bytes().into(), self.media_type)
    }

    fn response(self, request: &HeaderMap) -> Response {
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
pub(super) async fn index(
    State(state): State<AppState>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let page = find(INDEX, &uri)?;
    Ok(page.below(&state.options().base_path).response(&headers))
}

/// A script, style or image that the page loads.
pub(super) async fn file(
    Path(path): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Ok(find(&path, &uri)?.response(&headers))
}

fn find(path: &str, uri: &Uri) -> Result<Asset, Problem> {
    Asset::find(path).ok_or_else(|| Problem::no_such_route(uri.path()))
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
        let new = |text: &'static str| {
            Asset::new(text.as_bytes().into(), media_type("js/main.js").unwrap())
        };
        let response = new("let a;").response(&HeaderMap::new());
        assert_eq!(response.headers()[CONTENT_TYPE], "text/javascript; charset=utf-8");
        assert_eq!(response.headers()[CONTENT_SECURITY_POLICY], "default-src 'self'");
        let tag = response.headers()[ETAG].to_str().unwrap();
        for tags in [tag, &format!("\"old\", W/{tag}"), "*"] {
            let again = new("let a;").response(&asking(tags));
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{tags}");
        }
        assert_eq!(new("let a;").response(&asking("\"old\"")).status(), StatusCode::OK);
        assert_ne!(new("let b;").etag, tag);
    }

    #[test]
    fn the_page_names_what_it_loads_below_the_base_path() {
        let base = "/logs".parse().unwrap();
        let page = Asset::find(INDEX).unwrap().below(&base);
        let text = String::from_utf8(page.bytes.into_owned()).unwrap();
        for expected in
            ["src=\"/logs/assets/js/main.js\"", "data-base=\"/logs/\"", " /logs/api/v1/"]
        {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert!(!text.contains("=\"/assets") && !text.contains(" /api/"), "{text}");
    }
}
