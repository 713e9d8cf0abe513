//! Reading a log line's fields back from its JSON, for filters and plain text.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::domain::Entry;

/// The fields of a log line that something here asks about.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Fields<'a> {
    /// RFC 3339 as the producer sent it, or whatever it sent.
    #[serde(borrow)]
    pub timestamp: Cow<'a, str>,
    /// Such as `INFO`.
    #[serde(borrow)]
    pub level: Cow<'a, str>,
    /// Such as `stdout`.
    #[serde(borrow)]
    pub source: Cow<'a, str>,
    /// The line.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
    /// RFC 3339 in UTC.
    #[serde(borrow)]
    pub received_at: Cow<'a, str>,
    /// Which part of its line it is, from 1; 0 where the line is one entry.
    pub part: u32,
    /// How many parts the line has; 0 where it is one entry.
    pub parts: u32,
}

/// Reads a record's body, which lacks its opening brace; `None` where it does not say that.
pub fn read_body<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(&[b"{", body].concat()).ok()
}

impl Fields<'_> {
    /// Reads the fields of `entry` and shows them to `look`.
    pub fn read<T>(entry: &Entry<'_>, look: impl FnOnce(&Fields<'_>) -> T) -> T {
        Self::read_body(entry.body, look)
    }

    /// The same of the body of a record.
    pub fn read_body<T>(body: &[u8], look: impl FnOnce(&Fields<'_>) -> T) -> T {
        let mut json = Vec::with_capacity(body.len() + 1);
        json.push(b'{');
        json.extend_from_slice(body);
        // Bodies are made by this crate and checked by CRC; what is unreadable all the same
        // shows as a line of empty fields rather than ending the stream.
        let fields = serde_json::from_slice(&json).unwrap_or_default();
        look(&fields)
    }
}
