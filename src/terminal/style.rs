//! How a character looks.

use std::fmt::{self, Write};

/// A colour of text or background.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Color {
    /// What the reader's terminal has.
    #[default]
    Unset,
    /// One of xterm's 256: 16 named ones, a cube, greys.
    Indexed(u8),
    /// Red, green, blue.
    Rgb(u8, u8, u8),
}

/// What a style has on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// None of them.
    pub(super) const NONE: Self = Self(0);
    /// Bold.
    pub const BOLD: Self = Self(1);
    /// Dim.
    pub const DIM: Self = Self(1 << 1);
    /// Italic.
    pub const ITALIC: Self = Self(1 << 2);
    /// Underlined, in whatever way.
    pub const UNDERLINE: Self = Self(1 << 3);
    /// Text and background exchanged.
    pub const INVERSE: Self = Self(1 << 4);
    /// Struck through.
    pub const STRIKE: Self = Self(1 << 5);

    /// Each flag and the number that turns it on (ECMA-48 §8.3.117).
    const CODES: [(Self, u8); 6] = [
        (Self::BOLD, 1),
        (Self::DIM, 2),
        (Self::ITALIC, 3),
        (Self::UNDERLINE, 4),
        (Self::INVERSE, 7),
        (Self::STRIKE, 9),
    ];

    /// Whether all of `flags` are on.
    pub fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    pub(super) fn turn_on(&mut self, flags: Self) {
        self.0 |= flags.0;
    }

    pub(super) fn turn_off(&mut self, flags: Self) {
        self.0 &= !flags.0;
    }
}

impl std::ops::BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Colours and flags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Of the text.
    pub foreground: Color,
    /// Behind the text.
    pub background: Color,
    /// What is on.
    pub flags: Flags,
}

impl Style {
    /// Whether nothing is set.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// The escape sequence that sets this style on a terminal that has none set; empty for a plain one.
impl fmt::Display for Style {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut codes = String::new();
        for (flag, code) in Flags::CODES {
            if self.flags.contains(flag) {
                write!(codes, "{code};")?;
            }
        }
        write_color(&mut codes, self.foreground, 30)?;
        write_color(&mut codes, self.background, 40)?;
        match codes.strip_suffix(';') {
            Some(codes) => write!(formatter, "\x1b[{codes}m"),
            None => Ok(()),
        }
    }
}

/// `base` is 30 for text and 40 for its background.
fn write_color(codes: &mut String, color: Color, base: u8) -> fmt::Result {
    match color {
        Color::Unset => Ok(()),
        Color::Indexed(index @ 0..=7) => write!(codes, "{};", base + index),
        Color::Indexed(index @ 8..=15) => write!(codes, "{};", base + 52 + index),
        Color::Indexed(index) => write!(codes, "{};5;{index};", base + 8),
        Color::Rgb(red, green, blue) => write!(codes, "{};2;{red};{green};{blue};", base + 8),
    }
}
