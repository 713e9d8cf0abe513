//! Select Graphic Rendition (ECMA-48 §8.3.117, with xterm's colours).

use super::style::{Color, Flags, Style};

/// What a colour is for.
#[derive(Debug, Clone, Copy)]
enum Layer {
    Foreground,
    Background,
    /// Lines under text are drawn in the text's colour here: the numbers are passed over.
    Underline,
}

/// Applies parameters, each with its subparameters, to `style`.
pub(super) fn apply<'a>(style: &mut Style, parameters: impl IntoIterator<Item = &'a [u16]>) {
    let mut parameters = parameters.into_iter();
    while let Some(parameter) = parameters.next() {
        match *parameter {
            [code @ (38 | 48 | 58)] => {
                let color = following_color(&mut parameters);
                set_color(style, layer(code), color);
            }
            [code @ (38 | 48 | 58), ref rest @ ..] => {
                set_color(style, layer(code), color_within(rest));
            }
            [4, 0, ..] => style.flags.turn_off(Flags::UNDERLINE),
            [code, ..] => apply_code(style, code),
            [] => {}
        }
    }
}

fn apply_code(style: &mut Style, code: u16) {
    match code {
        0 => *style = Style::default(),
        1 => style.flags.turn_on(Flags::BOLD),
        2 => style.flags.turn_on(Flags::DIM),
        3 => style.flags.turn_on(Flags::ITALIC),
        4 | 21 => style.flags.turn_on(Flags::UNDERLINE),
        7 => style.flags.turn_on(Flags::INVERSE),
        9 => style.flags.turn_on(Flags::STRIKE),
        22 => style.flags.turn_off(Flags::BOLD | Flags::DIM),
        23 => style.flags.turn_off(Flags::ITALIC),
        24 => style.flags.turn_off(Flags::UNDERLINE),
        27 => style.flags.turn_off(Flags::INVERSE),
        29 => style.flags.turn_off(Flags::STRIKE),
        39 => style.foreground = Color::Unset,
        49 => style.background = Color::Unset,
        30..=37 => style.foreground = indexed(code - 30),
        40..=47 => style.background = indexed(code - 40),
        90..=97 => style.foreground = indexed(code - 90 + 8),
        100..=107 => style.background = indexed(code - 100 + 8),
        _ => {}
    }
}

fn layer(code: u16) -> Layer {
    match code {
        38 => Layer::Foreground,
        48 => Layer::Background,
        _ => Layer::Underline,
    }
}

fn set_color(style: &mut Style, layer: Layer, color: Option<Color>) {
    match (layer, color) {
        (Layer::Foreground, Some(color)) => style.foreground = color,
        (Layer::Background, Some(color)) => style.background = color,
        _ => {}
    }
}

/// The colour in the parameters that follow: `5;n` or `2;r;g;b`. `None` where a number is missing
/// or too large.
fn following_color<'a>(parameters: &mut impl Iterator<Item = &'a [u16]>) -> Option<Color> {
    let mut next = || parameters.next()?.first().copied();
    match next()? {
        5 => color_of_index(next()?),
        2 => {
            let (red, green, blue) = (next()?, next()?, next()?);
            color_of_rgb(red, green, blue)
        }
        _ => None,
    }
}

/// The colour in subparameters: `5:n`, `2:r:g:b`, or `2:space:r:g:b` with a colour space (ITU T.416).
fn color_within(rest: &[u16]) -> Option<Color> {
    match *rest {
        [5, index] => color_of_index(index),
        [2, red, green, blue] | [2, _, red, green, blue, ..] => color_of_rgb(red, green, blue),
        _ => None,
    }
}

fn color_of_index(index: u16) -> Option<Color> {
    u8::try_from(index).ok().map(Color::Indexed)
}

fn color_of_rgb(red: u16, green: u16, blue: u16) -> Option<Color> {
    let byte = |part| u8::try_from(part).ok();
    Some(Color::Rgb(byte(red)?, byte(green)?, byte(blue)?))
}

/// For numbers that are below 16.
fn indexed(index: u16) -> Color {
    Color::Indexed(u8::try_from(index).unwrap_or_default())
}
