//! What a client is told whose request's head cannot be read.
//!
//! hyper answers such a head by itself, with a status and nothing else, before anything of ours sees
//! a request.

use http::StatusCode;
use serde_json::json;

/// The largest head that is served, in bytes.
pub(super) const MAX_HEAD_BYTES: usize = 32 * 1024;

/// hyper's own refusals are shorter than this.
const MAX_BARE_BYTES: usize = 256;

/// The whole response that takes the place of `bare`; `None` where that is no refusal without a
/// reason.
pub(super) fn with_reason(bare: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bare).ok().filter(|text| text.len() < MAX_BARE_BYTES)?;
    let code = text.strip_prefix("HTTP/1.")?.get(2..5)?;
    let is_bare = text.ends_with("\r\n\r\n") && !text.contains("content-type");
    let status = StatusCode::from_bytes(code.as_bytes()).ok().filter(|_| is_bare)?;
    let (code, detail) = match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            let limit = MAX_HEAD_BYTES / 1024;
            let text = "the request's head is too large";
            ("head_too_large", format!("{text}, the limits are {limit} KiB and 100 fields"))
        }
        StatusCode::URI_TOO_LONG => {
            ("uri_too_long", "the request's address is too long, the limit is 65534 bytes".into())
        }
        StatusCode::BAD_REQUEST => {
            ("invalid_request", "the request's head is not HTTP/1.1 (RFC 9112)".into())
        }
        _ => return None,
    };
    let title = status.canonical_reason().unwrap_or_default();
    let body = json!({
        "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail, "code": code,
    });
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {} {title}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
         cache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n",
        status.as_u16(),
        body.len(),
    );
    Some([head, body].concat().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_without_a_reason_gets_one_and_no_other_response_is_changed() {
        let bare = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\
                    content-length: 0\r\n\r\n";
        let told = String::from_utf8(with_reason(bare.as_bytes()).unwrap()).unwrap();
        let (head, body) = told.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        assert!(body.contains("the limits are 32 KiB and 100 fields"), "{body}");
        for other in [
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\n",
            "data: HTTP/1.1 400\r\n\r\n",
            "",
        ] {
            assert_eq!(with_reason(other.as_bytes()), None, "{other:?}");
        }
    }
}
