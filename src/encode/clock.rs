//! The time of receipt as text, which is made at most once a millisecond.

use jiff::Timestamp;

use crate::domain::now_ms;

/// `2026-11-24T06:57:29.123Z`.
const TEXT_BYTES: usize = 24;

/// A clock whose text is kept until the millisecond changes.
#[derive(Debug, Clone)]
pub struct CachedClock {
    ms: u64,
    text: String,
}

impl CachedClock {
    /// A clock that has read the time now.
    pub fn now() -> Self {
        let mut clock = Self { ms: 0, text: String::with_capacity(TEXT_BYTES) };
        clock.refresh();
        clock
    }

    /// Reads the time anew.
    pub fn refresh(&mut self) {
        let ms = now_ms();
        if ms != self.ms {
            self.ms = ms;
            self.text = format_ms(ms);
        }
    }

    /// RFC 3339 in UTC with milliseconds.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// `ms` since the Unix epoch as RFC 3339 in UTC with milliseconds.
pub fn format_ms(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    format!("{:.3}", time.unwrap_or(Timestamp::MAX))
}

/// The milliseconds since the Unix epoch of an RFC 3339 time; `None` where it is none, or before
/// the epoch.
pub fn parse_ms(text: &str) -> Option<u64> {
    let time: Timestamp = text.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_written_in_rfc_3339_in_utc_with_milliseconds() {
        assert_eq!(format_ms(1_795_503_449_007), "2026-11-24T06:57:29.007Z");
        assert_eq!(format_ms(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(CachedClock::now().as_str().len(), TEXT_BYTES);
        assert_eq!(parse_ms("2026-11-24T07:57:29.007+01:00"), Some(1_795_503_449_007));
        assert_eq!(parse_ms("yesterday"), None);
    }
}
