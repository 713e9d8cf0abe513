//! Messages as text, and which of them need a terminal.

use super::span::Span;
use super::style::Style;

/// `message` without the one line end at its end.
pub fn without_line_end(message: &str) -> &str {
    let text = message.strip_suffix('\n').unwrap_or(message);
    text.strip_suffix('\r').filter(|_| text.len() < message.len()).unwrap_or(text)
}

/// Whether there is a control character in `message` other than a tab.
pub(super) fn needs_work(message: &str) -> bool {
    let is_control = |byte: u8| (byte < 0x20 && byte != b'\t') || byte == 0x7f;
    let bytes = message.as_bytes();
    let has_c0 = bytes.iter().any(|byte| is_control(*byte));
    // U+0080 to U+009F are encoded as 0xC2 and a byte below 0xA0.
    let is_c1 = |pair: &[u8]| pair[0] == 0xc2 && pair[1] < 0xa0;
    has_c0 || (!message.is_ascii() && bytes.windows(2).any(is_c1))
}

/// A message that is shown as it is.
pub(super) fn as_row(message: &str, style: Style) -> Vec<Span> {
    let mut row: Vec<Span> = Vec::new();
    if style.is_plain() {
        row.extend((!message.is_empty()).then(|| Span { text: message.to_owned(), style }));
        return row;
    }
    for piece in message.split_inclusive('\t') {
        let (text, tab) = piece.strip_suffix('\t').map_or((piece, false), |text| (text, true));
        row.extend((!text.is_empty()).then(|| Span { text: text.to_owned(), style }));
        if !tab {
            continue;
        }
        match row.last_mut().filter(|last| last.style.is_plain()) {
            Some(last) => last.text.push('\t'),
            None => row.push(Span { text: "\t".to_owned(), style: Style::default() }),
        }
    }
    row
}
