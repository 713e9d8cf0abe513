//! Texts of producers that stand outside of lines.

/// `text` without anything that controls a terminal: each such character is U+FFFD.
pub(super) fn printable(text: &str) -> String {
    let is_safe = |c: char| !c.is_control();
    text.chars().map(|c| if is_safe(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}
