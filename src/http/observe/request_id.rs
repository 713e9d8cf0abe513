//! Every request has an id, by which its answer is found in the log.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue};
use tracing::Instrument;

use super::peer::Peer;

/// The header that has the id, in a request and in its answer.
pub(in crate::http) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken from a request, in bytes.
const MAX_ID_BYTES: usize = 128;

/// Handles `request` in a span with its id and its peer, and tells the id in the answer.
pub(in crate::http) async fn with_request_id(request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let peer = request.extensions().get::<Peer>().map(|Peer(peer)| tracing::field::display(*peer));
    let text = id.to_str().unwrap_or_default();
    // At the highest level, so that every line of the log has it.
    let span = tracing::error_span!("request", id = text, peer);
    let mut response = next.run(request).instrument(span).await;
    response.headers_mut().insert(X_REQUEST_ID, id);
    response
}

/// The id that the request has, where it is a sane one; else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(X_REQUEST_ID).filter(|id| is_sane(id.as_bytes()));
    given.cloned().unwrap_or_else(new_id)
}

fn is_sane(id: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    (1..=MAX_ID_BYTES).contains(&id.len()) && id.iter().all(is_allowed)
}

fn new_id() -> HeaderValue {
    let id = format!("{:016x}", fastrand::u64(..));
    HeaderValue::from_str(&id).expect("hexadecimal digits may stand in a header")
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;
    use crate::http::problem::Problem;

    fn of(given: &[u8]) -> HeaderValue {
        let value = HeaderValue::from_bytes(given).unwrap();
        request_id(&HeaderMap::from_iter([(X_REQUEST_ID, value)]))
    }

    #[test]
    fn a_sane_id_is_taken_and_any_other_is_replaced() {
        let longest = [b'x'; MAX_ID_BYTES];
        for sane in [&b"a"[..], b"4bf92f35-77b3:A_z.9", &longest] {
            assert_eq!(of(sane).as_bytes(), sane);
        }
        for other in [&b""[..], b"two words", b"a=\"b\"", b"\xc3\xa4", &[b'x'; MAX_ID_BYTES + 1]] {
            let made = of(other);
            assert!(made.len() == 16 && is_sane(made.as_bytes()), "{other:?}: {made:?}");
        }
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }

    /// What is logged, as text.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn an_error_in_the_log_has_the_id_that_the_client_was_told() {
        let log = Log::default();
        let writer = log.clone();
        let logging =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
        let _logging = tracing::subscriber::set_default(logging.finish());
        let fails = get(|| async { Problem::internal("the disk is gone") });
        let router = Router::new().route("/", fails).layer(from_fn(with_request_id));
        let request = Request::get("/").header(X_REQUEST_ID, "of-the-client");
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()[X_REQUEST_ID]),
            (500, &HeaderValue::from_static("of-the-client"))
        );
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("ERROR request{id=\"of-the-client\"}: "), "{text}");
        assert!(text.contains("the disk is gone"), "{text}");
    }
}
