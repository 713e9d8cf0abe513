//! Consecutive characters of one style.

use super::style::Style;

/// Consecutive characters of one style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Without control characters but tabs.
    pub text: String,
    /// How it looks.
    pub style: Style,
}

/// Adds `character` to the last of `spans`, or to a new one where the style changes. A tab draws
/// nothing, so it has no style.
pub(super) fn push(spans: &mut Vec<Span>, character: char, style: Style) {
    let style = if character == '\t' { Style::default() } else { style };
    match spans.last_mut() {
        Some(last) if last.style == style => last.text.push(character),
        _ => spans.push(Span { text: character.into(), style }),
    }
}
