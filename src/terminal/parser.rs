//! From a message to what happens on the screen.

use std::borrow::Cow;

use vte::{Params, Parser, Perform};

use super::screen::Screen;
use super::sgr;

/// Shows one message.
pub(super) fn feed(screen: &mut Screen, message: &str) {
    let text = with_seven_bit_controls(message);
    let mut parser = Parser::new();
    let mut performer = Performer { screen, is_in_device_string: false };
    let mut rest = &*text;
    while !rest.is_empty() {
        let read = parser.advance_until_terminated(&mut performer, rest.as_bytes());
        rest = &rest[read..];
        if performer.is_in_device_string {
            // The parser would take a byte within a character for the string's end.
            rest = &rest[rest.find(['\x18', '\x1a', '\x1b']).unwrap_or(rest.len())..];
            performer.is_in_device_string = false;
        }
    }
    screen.end_message();
}

/// C1 control characters as escape sequences, which is what they stand for (ECMA-48 §5.3).
fn with_seven_bit_controls(text: &str) -> Cow<'_, str> {
    let is_c1 = |c: char| ('\u{80}'..='\u{9f}').contains(&c);
    if !text.contains(is_c1) {
        return Cow::Borrowed(text);
    }
    let mut seven_bit = String::with_capacity(text.len());
    for character in text.chars() {
        match u32::from(character) {
            code @ 0x80..=0x9f => {
                seven_bit.push('\x1b');
                seven_bit.extend(char::from_u32(code - 0x40));
            }
            _ => seven_bit.push(character),
        }
    }
    Cow::Owned(seven_bit)
}

struct Performer<'a> {
    screen: &'a mut Screen,
    /// Whether what follows is a device control string, which is passed over to its end.
    is_in_device_string: bool,
}

impl Perform for Performer<'_> {
    fn print(&mut self, character: char) {
        self.screen.print(character);
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            0x08 => self.screen.move_left(1),
            b'\t' => self.screen.tab(),
            // Line feed, and what terminals take for one: vertical tab, form feed.
            0x0a..=0x0c => self.screen.line_feed(),
            b'\r' => self.screen.move_to_column(0),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], _: bool, action: char) {
        let first = params.iter().next().and_then(|parameter| parameter.first().copied());
        let number = usize::from(first.unwrap_or(0));
        match intermediates {
            [] => self.control(action, number, params),
            b"?" if matches!(action, 'J' | 'K') => self.control(action, number, params),
            b"!" if action == 'p' => self.screen.reset_style(),
            _ => {}
        }
    }

    fn esc_dispatch(&mut self, intermediates: &[u8], _: bool, byte: u8) {
        match (intermediates, byte) {
            ([], b'7') => self.screen.save_cursor(),
            ([], b'8') => self.screen.restore_cursor(),
            ([], b'D') => self.screen.index(),
            ([], b'E') => self.screen.line_feed(),
            ([], b'M') => self.screen.move_up(1),
            ([], b'c') => self.screen.reset_style(),
            _ => {}
        }
    }

    fn hook(&mut self, _: &Params, _: &[u8], _: bool, _: char) {
        self.is_in_device_string = true;
    }

    fn terminated(&self) -> bool {
        self.is_in_device_string
    }
}

impl Performer<'_> {
    /// A control sequence without a private marker.
    fn control(&mut self, action: char, number: usize, params: &Params) {
        let count = number.max(1);
        let screen = &mut *self.screen;
        match action {
            'm' => screen.restyle(|style| sgr::apply(style, params)),
            'A' => screen.move_up(count),
            'B' | 'e' => screen.move_down(count),
            'C' | 'a' => screen.move_right(count),
            'D' => screen.move_left(count),
            'E' => {
                screen.move_down(count);
                screen.move_to_column(0);
            }
            'F' => {
                screen.move_up(count);
                screen.move_to_column(0);
            }
            'G' | '`' => screen.move_to_column(count - 1),
            'J' if number == 0 => screen.erase_below(),
            'K' if number == 0 => screen.erase_right(),
            'K' if number == 1 => screen.erase_left(),
            'K' if number == 2 => screen.erase_row(),
            'P' => screen.delete_cells(count),
            'X' => screen.erase_cells(count),
            '@' => screen.insert_cells(count),
            's' => screen.save_cursor(),
            'u' => screen.restore_cursor(),
            _ => {}
        }
    }
}
