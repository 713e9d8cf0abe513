//! Addresses of servers, as they are given on the command line.

use http::Uri;
use reqwest::Url;

/// What an address must be.
const RULE: &str = "expected http://host:port or https://host:port";

/// The address of a server's gRPC port.
pub(super) fn grpc_url(text: &str) -> Result<Uri, &'static str> {
    let uri: Uri = text.parse().map_err(|_| RULE)?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    if is_web && uri.authority().is_some() { Ok(uri) } else { Err(RULE) }
}

/// The address of a server's HTTP port; it may have a path.
pub(super) fn http_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| RULE)?;
    let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
    if is_web { Ok(url) } else { Err(RULE) }
}

/// The same as a text.
pub(super) fn http_url_text(text: &str) -> Result<String, &'static str> {
    http_url(text).map(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_and_a_host() {
        for good in ["http://a:1", "https://logs.example/otto", "http://[::1]:4000/"] {
            assert!(grpc_url(good).is_ok() && http_url(good).is_ok(), "{good}");
        }
        for bad in
            ["", "a:1", "127.0.0.1:4000", "localhost", "ftp://a", "ht tp://a", "/a", "http://"]
        {
            assert!(grpc_url(bad).is_err() && http_url(bad).is_err(), "{bad}");
        }
    }
}
