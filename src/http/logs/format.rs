//! The formats that history is sent in, and which one a client prefers.

use http::HeaderMap;
use http::header::ACCEPT;

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Ndjson,
    /// Messages as they were sent.
    Text,
    /// What a terminal shows of them.
    Plain,
}

impl Format {
    pub(super) fn named(text: &str) -> Option<Self> {
        Some(match text {
            "json" => Self::Json,
            "ndjson" => Self::Ndjson,
            "text" => Self::Text,
            "plain" => Self::Plain,
            _ => return None,
        })
    }

    /// The best of what the client accepts; JSON when it names none of them.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut best = Accepted { format: Self::Json, weight: 0.0 };
        for accepted in accept.split(',').filter_map(Accepted::parse) {
            if accepted.weight > best.weight {
                best = accepted;
            }
        }
        best.format
    }

    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Text | Self::Plain => "text/plain; charset=utf-8",
        }
    }

    pub(super) const fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Text => "log",
            Self::Plain => "txt",
        }
    }
}

/// A format that a client accepts, and how much it wants it.
struct Accepted {
    format: Format,
    /// From 0.0 to 1.0.
    weight: f32,
}

impl Accepted {
    /// Reads a media range and its weight (RFC 9110 §12.5.1).
    fn parse(item: &str) -> Option<Self> {
        let mut parts = item.split(';').map(str::trim);
        let format = match parts.next()?.to_ascii_lowercase().as_str() {
            "application/json" | "application/*" | "*/*" => Format::Json,
            "application/x-ndjson" | "application/ndjson" => Format::Ndjson,
            "text/plain" | "text/*" => Format::Text,
            _ => return None,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        let weight = weight.map_or(Some(1.0), |weight| weight.parse().ok())?;
        Some(Self { format, weight })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(accept: &str) -> Format {
        Format::accepted(&HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]))
    }

    #[test]
    fn the_best_accepted_format_is_taken_and_json_otherwise() {
        assert_eq!(accepted("text/plain"), Format::Text);
        assert_eq!(accepted("text/html,application/xhtml+xml,*/*;q=0.8"), Format::Json);
        assert_eq!(accepted("text/plain;q=0.5, application/x-ndjson"), Format::Ndjson);
        assert_eq!(accepted("image/png"), Format::Json);
        assert_eq!(Format::accepted(&HeaderMap::new()), Format::Json);
    }
}
