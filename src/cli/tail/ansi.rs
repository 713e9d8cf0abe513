//! Escape sequences in messages: colours may stay, everything else goes.
//!
//! A log line comes from somebody's build; it must not move the cursor, retitle the window or
//! write to the clipboard of whoever reads it (ECMA-48 §5.4, xterm's control sequences).

use std::borrow::Cow;

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    /// Nothing.
    StripAll,
    /// Select Graphic Rendition: `ESC [ … m`.
    KeepColors,
}

const ESC: char = '\x1b';

/// `message` without the escape sequences and control characters that are not kept.
/// Tabs and carriage returns stay.
pub(super) fn clean(message: &str, escapes: Escapes) -> Cow<'_, str> {
    if !message.chars().any(is_unwanted) {
        return Cow::Borrowed(message);
    }
    let mut cleaned = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(first) = rest.chars().next() {
        let length = if first == ESC { sequence_bytes(rest) } else { first.len_utf8() };
        let (piece, after) = rest.split_at(length);
        let is_color = escapes == Escapes::KeepColors && is_color(piece);
        if is_color || !is_unwanted(first) {
            cleaned.push_str(piece);
        }
        rest = after;
    }
    Cow::Owned(cleaned)
}

fn is_unwanted(character: char) -> bool {
    character.is_control() && !matches!(character, '\t' | '\r')
}

fn is_color(piece: &str) -> bool {
    let parameters = piece.strip_prefix("\x1b[").and_then(|piece| piece.strip_suffix('m'));
    parameters
        .is_some_and(|text| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b';' | b':')))
}

/// The length of the escape sequence that `text` begins with; cut short at the text's end.
fn sequence_bytes(text: &str) -> usize {
    let bytes = text.as_bytes();
    match bytes.get(1) {
        Some(b'[') => control_sequence_bytes(bytes),
        Some(b']' | b'P' | b'X' | b'^' | b'_') => string_bytes(text),
        Some(b' '..=b'/') => short_sequence_bytes(bytes),
        Some(b'0'..=b'~') => 2,
        _ => 1,
    }
}

/// `ESC [`, parameters and intermediates, one final byte.
fn control_sequence_bytes(bytes: &[u8]) -> usize {
    let body = bytes.iter().skip(2).take_while(|byte| matches!(byte, b' '..=b'?')).count();
    let has_final = matches!(bytes.get(2 + body), Some(b'@'..=b'~'));
    2 + body + usize::from(has_final)
}

/// `ESC`, intermediates, one final byte.
fn short_sequence_bytes(bytes: &[u8]) -> usize {
    let body = bytes.iter().skip(1).take_while(|byte| matches!(byte, b' '..=b'/')).count();
    let has_final = matches!(bytes.get(1 + body), Some(b'0'..=b'~'));
    1 + body + usize::from(has_final)
}

/// A command string: up to BEL or `ESC \`, or to the end.
fn string_bytes(text: &str) -> usize {
    let bel = text.find('\x07').map(|at| at + 1);
    let terminator = text.find("\x1b\\").map(|at| at + 2);
    let end = bel.into_iter().chain(terminator).min();
    end.unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn colours_stay_only_when_they_may() {
        let message = "\x1b[1;31merror\x1b[0m: \x1b[38:2::1:2:3mx\x1b[m";
        assert_eq!(clean(message, Escapes::KeepColors), message);
        assert_eq!(clean(message, Escapes::StripAll), "error: x");
    }

    #[test]
    fn whatever_else_a_terminal_obeys_goes() {
        for escapes in [Escapes::StripAll, Escapes::KeepColors] {
            for message in [
                "a\x1b[2Jb",
                "a\x1b[?25lb",
                "a\x1b]0;title\x07b",
                "a\x1b]52;c;Zm9v\x1b\\b",
                "a\x1bP1$r0m\x1b\\b",
                "a\x1b(Bb",
                "a\x1bcb",
                "a\x1b[>4mb",
                "a\x08\x00b",
                "a\u{9b}b",
            ] {
                assert_eq!(clean(message, escapes), "ab", "{message:?}");
            }
        }
        assert_eq!(clean("a\x1b", Escapes::KeepColors), "a");
        assert_eq!(clean("a\x1b[1;3", Escapes::KeepColors), "a");
        assert_eq!(clean("a\x1b]0;never ended", Escapes::KeepColors), "a");
    }

    #[test]
    fn text_tabs_and_carriage_returns_stay() {
        assert!(matches!(clean("10%\r20%\tgrün 🎉", Escapes::StripAll), Cow::Borrowed(_)));
        assert_eq!(clean("\x1b[1m10%\r20%\x1b[0m ü", Escapes::StripAll), "10%\r20% ü");
    }

    proptest! {
        #[test]
        fn nothing_unwanted_is_left(message in "[\x1b\\[\\]();?0-9mJa\x07\\\\ü\u{9b}P^_]{0,40}") {
            let cleaned = clean(&message, Escapes::StripAll);
            prop_assert!(!cleaned.chars().any(is_unwanted), "{:?}", cleaned);
        }
    }
}
