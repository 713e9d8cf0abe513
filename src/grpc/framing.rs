//! How messages stand in a body, and what a request's headers say of them.
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>, `Length-Prefixed-Message`.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use tonic::Status;
use tonic::body::Body;

/// What stands before each message, in bytes: whether it is packed, and its length.
pub(super) const PREFIX_BYTES: usize = 5;

/// The header that says how a call's messages are packed.
pub(super) const ENCODING: &str = "grpc-encoding";

/// The header that says which ways are taken, and those.
pub(super) const ACCEPT_ENCODING: &str = "grpc-accept-encoding";
pub(super) const ACCEPTED: &str = "identity,gzip";

/// How the messages of a call may be packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// Not at all.
    Identity,
    /// Those whose prefix says so, with gzip.
    Gzip,
}

/// The prefix of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) is_packed: bool,
    /// Of the message as it is sent, in bytes.
    pub(super) length: usize,
}

impl Packing {
    /// That of a call with these headers.
    ///
    /// # Errors
    /// When it is another one.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Status> {
        match headers.get(ENCODING).map(HeaderValue::as_bytes) {
            None | Some(b"identity") => Ok(Self::Identity),
            Some(b"gzip") => Ok(Self::Gzip),
            Some(other) => {
                let other = String::from_utf8_lossy(other);
                let reason = format!("{ENCODING} is {other:?}, it needs identity or gzip");
                let mut status = Status::unimplemented(reason);
                status
                    .metadata_mut()
                    .as_mut()
                    .insert(ACCEPT_ENCODING, HeaderValue::from_static(ACCEPTED));
                Err(status)
            }
        }
    }
}

impl Prefix {
    /// The prefix at the beginning of `bytes`; `None` while it is not whole.
    ///
    /// # Errors
    /// When its flag is none that a call with this packing may have.
    pub(super) fn read(bytes: &[u8], packing: Packing) -> Result<Option<Self>, Status> {
        let Some([flag, length @ ..]) = bytes.first_chunk::<PREFIX_BYTES>() else {
            return Ok(None);
        };
        let is_packed = match (flag, packing) {
            (0, _) => false,
            (1, Packing::Gzip) => true,
            (1, Packing::Identity) => {
                return Err(Status::internal(
                    "a message has its compressed flag set, and the request names no grpc-encoding",
                ));
            }
            (other, _) => {
                return Err(Status::internal(format!(
                    "a message's compressed flag is {other}, it needs 0 or 1"
                )));
            }
        };
        Ok(Some(Self { is_packed, length: u32::from_be_bytes(*length) as usize }))
    }

    /// Where its message ends, counted from the prefix's beginning.
    pub(super) fn end(self) -> usize {
        PREFIX_BYTES + self.length
    }
}

/// The refusal of a request that is not gRPC with protobuf, which must not be served as such.
pub(super) fn refuse_other_content(headers: &HeaderMap) -> Option<Response<Body>> {
    let found = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let found = String::from_utf8_lossy(found);
    let essence = found.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if matches!(essence.as_str(), "application/grpc" | "application/grpc+proto") {
        return None;
    }
    let shown: String = found.chars().take(64).collect();
    let text = format!("content-type is {shown:?}, this port takes application/grpc\n");
    let mut response = Response::new(Body::new(text));
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_grpc_with_protobuf_is_served() {
        let refused = |text: &'static str| {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(text))]);
            refuse_other_content(&headers).map(|response| response.status().as_u16())
        };
        for served in ["application/grpc", "application/grpc+proto", "Application/gRPC; a=b"] {
            assert_eq!(refused(served), None, "{served}");
        }
        for other in
            ["text/plain", "application/json", "application/grpc-web", "application/grpc+json", ""]
        {
            assert_eq!(refused(other), Some(415), "{other}");
        }
        assert!(refuse_other_content(&HeaderMap::new()).is_some());
    }
}
