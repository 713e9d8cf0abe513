//! What an error says, with its causes, for people.

use std::error::Error;
use std::io;

/// What rustls says of a certificate that it does not trust begins with this.
const BAD_CERTIFICATE: &str = "invalid peer certificate";

/// What helps then.
const CERTIFICATE_HELP: &str = "SSL_CERT_FILE can name a file of certificates to trust";

/// The error and its causes, each once.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut words = text(error);
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = text(error);
        let is_said = words.contains(&text) || words.contains(&error.to_string());
        if !is_said {
            words = format!("{words}: {text}");
        }
        cause = error.source();
    }
    words
}

/// The innermost cause alone: of an error of a network client the part that people need.
pub fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    text(innermost)
}

/// An error's own words. The system's words for what networks do are replaced by plain ones.
fn text(error: &(dyn Error + 'static)) -> String {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    match kind {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused".into(),
        Some(io::ErrorKind::ConnectionReset) => "connection reset".into(),
        Some(io::ErrorKind::TimedOut) => "timed out".into(),
        Some(io::ErrorKind::HostUnreachable) => "host unreachable".into(),
        Some(io::ErrorKind::NetworkUnreachable) => "network unreachable".into(),
        _ => with_help(error.to_string()),
    }
}

fn with_help(text: String) -> String {
    let is_untrusted = text.starts_with(BAD_CERTIFICATE);
    if is_untrusted { format!("{text} ({CERTIFICATE_HELP})") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot write the log: {source}")]
    struct Repeats {
        source: io::Error,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot start")]
    struct Names {
        #[source]
        source: Repeats,
    }

    #[test]
    fn causes_are_named_once_each() {
        let inner = io::Error::other("refused");
        assert_eq!(with_causes(&io::Error::other(inner)), "refused");
        let full = || io::Error::from_raw_os_error(28);
        let error = Names { source: Repeats { source: full() } };
        let expected = format!("cannot start: cannot write the log: {}", full());
        assert_eq!(with_causes(&error), expected);
        assert_eq!(root_cause(&error), full().to_string());
    }

    #[test]
    fn a_certificate_that_is_not_trusted_is_told_with_what_helps() {
        let source = io::Error::other("invalid peer certificate: UnknownIssuer");
        let expected = "invalid peer certificate: UnknownIssuer (SSL_CERT_FILE can name";
        assert!(root_cause(&source).starts_with(expected));
    }

    #[test]
    fn a_refused_connection_is_told_in_plain_words() {
        let source = io::Error::from_raw_os_error(111);
        assert_eq!(root_cause(&Repeats { source }), "connection refused");
    }
}
