//! The name that a browser saves a download under.

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::format::Format;
use crate::domain::TaskId;

/// The longest name before its extension, in bytes: most file systems take 255 in all.
const MAX_NAME_BYTES: usize = 200;

/// What is not an `attr-char` (RFC 8187 §3.2.1).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// `Content-Disposition` of a task's download (RFC 6266). A name outside ASCII is given twice: for all,
/// and with `_` in place of what only newer clients can read.
pub(super) fn disposition(task: &TaskId, format: Format) -> HeaderValue {
    let name = format!("{}.{}", safe(task.as_str()), format.extension());
    let ascii: String = name.chars().map(|c| if c.is_ascii() { c } else { '_' }).collect();
    let mut value = format!("attachment; filename=\"{ascii}\"");
    if ascii != name {
        let encoded = utf8_percent_encode(&name, ENCODED);
        value.push_str(&format!("; filename*=UTF-8''{encoded}"));
    }
    HeaderValue::try_from(value).expect("it is visible ASCII")
}

/// A file name that is valid on every system: no separator, nothing that a system reserves, nothing
/// that is not seen or turns the text around it, no dot at its beginning.
fn safe(task: &str) -> String {
    let mut name = String::new();
    for c in task.trim_start_matches('.').chars() {
        let c = if is_safe(c) { c } else { '_' };
        if name.len() + c.len_utf8() > MAX_NAME_BYTES {
            break;
        }
        name.push(c);
    }
    if name.is_empty() { "log".into() } else { name }
}

fn is_safe(c: char) -> bool {
    let is_reserved = matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' | '%');
    let is_unseen = matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
    );
    !(is_reserved || is_unseen || c.is_control() || (c.is_whitespace() && c != ' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(task: &str) -> String {
        let value = disposition(&TaskId::new(task).unwrap(), Format::Text);
        value.to_str().unwrap().strip_prefix("attachment; ").unwrap().to_owned()
    }

    #[test]
    fn a_name_in_ascii_is_given_once_and_is_valid_on_every_system() {
        for (task, expected) in [
            ("build-7", "filename=\"build-7.log\""),
            ("../a\"b", "filename=\"_a_b.log\""),
            ("a\\b:c|d%41 e", "filename=\"a_b_c_d_41 e.log\""),
            ("...", "filename=\"log.log\""),
        ] {
            assert_eq!(name(task), expected);
        }
    }

    #[test]
    fn a_name_outside_ascii_is_given_by_rfc_6266_with_a_name_for_older_clients() {
        assert_eq!(name("größe"), "filename=\"gr__e.log\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.log");
        assert_eq!(
            name("🚀/'x'"),
            "filename=\"__'x'.log\"; filename*=UTF-8''%F0%9F%9A%80_%27x%27.log"
        );
        // A mark that turns text around would show another extension.
        assert_eq!(name("a\u{202e}gol.exe"), "filename=\"a_gol.exe.log\"");
        assert_eq!(name("a\u{2028}b"), "filename=\"a_b.log\"");
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let long = name(&"日".repeat(80));
        assert!(long.contains(&format!("filename=\"{}.log\"", "_".repeat(66))), "{long}");
        assert!(long.ends_with(&format!("{}.log", "%E6%97%A5".repeat(66))), "{long}");
    }
}
