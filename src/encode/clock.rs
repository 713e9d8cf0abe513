//! The time of receipt as text, which is made at most once a millisecond.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::fmt::temporal::Pieces;

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
    u64::try_from(parse_time(text)?.as_millisecond()).ok()
}

/// Any RFC 3339 time: with an offset, in small letters, with a space for the `T`, with a fraction of any
/// length, with a leap second (which counts as the second before). One outside the years that can be
/// compared counts as the nearest that can. `None` where `text` is none.
pub fn parse_time(text: &str) -> Option<Timestamp> {
    let text = with_nanoseconds(text);
    text.parse().ok().or_else(|| nearest_time(&text))
}

/// The last hours of the year 9999 are beyond the last timestamp, for those who write "for ever".
fn nearest_time(text: &str) -> Option<Timestamp> {
    let pieces = Pieces::parse(text).ok()?;
    let (time, offset) = (pieces.time()?, pieces.to_numeric_offset()?);
    let is_late = pieces.date().year() > 0;
    let nearest = if is_late { Timestamp::MAX } else { Timestamp::MIN };
    Some(offset.to_timestamp(pieces.date().to_datetime(time)).unwrap_or(nearest))
}

/// `text` with the first nine digits of a longer fraction.
fn with_nanoseconds(text: &str) -> Cow<'_, str> {
    let Some((before, rest)) = text.split_once('.') else { return text.into() };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if digits <= 9 {
        return text.into();
    }
    format!("{before}.{}{}", &rest[..9], &rest[digits..]).into()
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

    #[test]
    fn every_form_of_rfc_3339_is_read_and_nothing_without_an_offset() {
        let second = "2026-11-24T06:57:29Z".parse::<Timestamp>().unwrap();
        for text in [
            "2026-11-24T06:57:29Z",
            "2026-11-24t06:57:29z",
            "2026-11-24 06:57:29Z",
            "2026-11-24T06:57:29.0000000000000000001Z",
            "2026-11-24T06:57:29-00:00",
            "2026-11-24T15:57:29+09:00",
            "2026-11-23T23:12:29.000-07:45",
        ] {
            assert_eq!(parse_time(text), Some(second), "{text}");
        }
        let leap = parse_time("2016-12-31T23:59:60Z");
        assert_eq!(leap, Some("2016-12-31T23:59:59Z".parse().unwrap()));
        assert_eq!(parse_time("9999-12-31T23:59:59Z"), Some(Timestamp::MAX));
        assert_eq!(parse_time("9999-12-31T23:59:59.999999999-23:59"), Some(Timestamp::MAX));
        assert!(parse_time("0000-01-01T00:00:00Z").is_some());
        for bad in [
            "",
            "2026-11-24",
            "2026-11-24T06:57:29",
            "06:57:29Z",
            "2026-13-01T00:00:00Z",
            "9999-12-32T00:00:00Z",
            "1764000000",
            "2026-11-24T06:57:29.Z",
        ] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }
}
