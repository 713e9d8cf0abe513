use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
    widths: Vec<(u32, u32, usize)>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    messages: Vec<String>,
    shows: Vec<Vec<FixtureRow>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum FixtureRow {
    Plain(String),
    Spans(Vec<FixtureSpan>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum FixtureSpan {
    Plain(String),
    Styled(String, String),
    Link(String, String, #[expect(dead_code, reason = "only the viewer has links")] String),
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../../tests/fixtures/terminal.json")).unwrap()
}

fn flag(name: &str) -> Flags {
    match name {
        "bold" => Flags::BOLD,
        "dim" => Flags::DIM,
        "italic" => Flags::ITALIC,
        "underline" => Flags::UNDERLINE,
        "inverse" => Flags::INVERSE,
        "strike" => Flags::STRIKE,
        other => panic!("{other} is no style"),
    }
}

fn color(text: &str) -> Color {
    let Some(hex) = text.strip_prefix('#') else { return Color::Indexed(text.parse().unwrap()) };
    let byte = |from| u8::from_str_radix(&hex[from..from + 2], 16).unwrap();
    Color::Rgb(byte(0), byte(2), byte(4))
}

fn style(text: &str) -> Style {
    let mut style = Style::default();
    for word in text.split_whitespace() {
        match word.split_once('=') {
            Some(("fg", name)) => style.foreground = color(name),
            Some(("bg", name)) => style.background = color(name),
            _ => style.flags.turn_on(flag(word)),
        }
    }
    style
}

/// Neighbours that differ in their link only are one span here.
fn spans(row: &FixtureRow) -> Vec<Span> {
    let plain = |text: &String| (text.clone(), Style::default());
    let pieces: Vec<_> = match row {
        FixtureRow::Plain(text) => vec![plain(text)],
        FixtureRow::Spans(spans) => spans
            .iter()
            .map(|span| match span {
                FixtureSpan::Plain(text) => plain(text),
                FixtureSpan::Styled(text, name) | FixtureSpan::Link(text, name, _) => {
                    (text.clone(), style(name))
                }
            })
            .collect(),
    };
    let mut spans: Vec<Span> = Vec::new();
    for (text, style) in pieces.into_iter().filter(|(text, _)| !text.is_empty()) {
        match spans.last_mut() {
            Some(last) if last.style == style => last.text.push_str(&text),
            _ => spans.push(Span { text, style }),
        }
    }
    spans
}

fn texts(rows: &[Vec<Span>]) -> Vec<String> {
    rows.iter().map(|row| row.iter().map(|span| span.text.as_str()).collect()).collect()
}

#[test]
fn every_case_of_the_fixture_shows_what_it_says() {
    let mut wrong = Vec::new();
    for Case { name, messages, shows } in fixture().cases {
        assert_eq!(messages.len(), shows.len(), "{name}");
        let mut terminal = Terminal::default();
        for (message, rows) in messages.iter().zip(&shows) {
            let wanted: Vec<_> = rows.iter().map(spans).collect();
            let (shown, plain) = (terminal.show(message), plain_text(message));
            if shown != wanted || plain != texts(&wanted).join("\n") {
                wrong.push(format!("{name}: {message:?} shows {shown:?}, not {wanted:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The viewer's table is held against the same list.
#[test]
fn characters_are_as_wide_as_the_fixture_says() {
    let is_control = |code: u32| code < 0x20 || (0x7f..0xa0).contains(&code);
    let mut widths: Vec<(u32, u32, usize)> = Vec::new();
    for character in (0..=0x0010_ffff).filter_map(char::from_u32) {
        let (code, width) = (u32::from(character), row::width_of(character));
        if width == 1 || is_control(code) {
            continue;
        }
        match widths.last_mut() {
            Some((_, last, same)) if *last + 1 == code && *same == width => *last = code,
            _ => widths.push((code, code, width)),
        }
    }
    if let Some(path) = std::env::var_os("OTTO_WRITE_WIDTHS") {
        std::fs::write(path, serde_json::to_string(&widths).unwrap()).unwrap();
    }
    assert!(widths == fixture().widths, "OTTO_WRITE_WIDTHS=<file> writes what it should be");
}

#[test]
fn a_style_as_an_escape_sequence_gives_the_same_style() {
    for sequence in ["\x1b[1;2;3;4;7;9m", "\x1b[31;102m", "\x1b[38;5;200;48;2;1;2;3m", "\x1b[97m"] {
        let mut terminal = Terminal::default();
        let [first, ..] = &terminal.show(&format!("{sequence}x"))[..] else { panic!("no row") };
        let style = first[0].style;
        assert_eq!(style.to_string(), sequence);
    }
    assert_eq!(Style::default().to_string(), "");
}

#[test]
fn a_message_that_needs_no_terminal_is_not_copied() {
    use std::borrow::Cow;
    assert!(matches!(plain_text("a\tgrün 🎉"), Cow::Borrowed(_)));
    assert!(matches!(plain_text("windows\r\n"), Cow::Borrowed("windows")));
}

/// Each of these is a megabyte that makes many cells for each byte, or did so once.
#[test]
fn a_megabyte_of_any_sequence_costs_bounded_time_and_memory() {
    let start = std::time::Instant::now();
    let long = "x".repeat(2000);
    for (piece, most) in [
        ("\x1b[1K\x1b[999C", 2_000_000),
        ("\x1b[999Ca\n", 2_000_000),
        ("\x1b[999Ca\x1b[2K", 2_000_000),
        ("a\x1b[999@\x1b[P", 2_000_000),
        ("\x1b[49A\x1b[49B", 2_000_000),
        ("\x1b]8;;", 2_000_000),
        ("\x08x\t", 2_000_000),
        (&long, 2_000_000),
    ] {
        let message = piece.repeat(1_000_000 / piece.len());
        for message in [message.clone(), format!("{long}\x08{message}"), format!("x\x08{message}")]
        {
            assert!(plain_text(&message).len() <= most, "{piece:?}");
        }
    }
    assert!(start.elapsed() < std::time::Duration::from_secs(60), "{:?}", start.elapsed());
}

proptest! {
    #[test]
    fn nothing_that_a_terminal_obeys_is_left(
        message in "[\x1b\\[\\]();?0-9mJKABCDGHX@PLa\r\n\x08\t\x07\\\\ü漢\u{9b}\u{90}\u{301}P^_]{0,60}",
    ) {
        let rows = Terminal::default().show(&message);
        for text in texts(&rows) {
            prop_assert!(!text.chars().any(|c| c.is_control() && c != '\t'), "{:?}", text);
        }
        prop_assert_eq!(texts(&rows).join("\n"), plain_text(&message));
    }

    #[test]
    fn text_without_controls_is_shown_as_it_is(message in "[a-zü漢🎉 \t]{0,40}") {
        prop_assert_eq!(plain_text(&message), message.as_str());
        let styled = format!("\x1b[31m{message}");
        prop_assert_eq!(plain_text(&styled), message.as_str());
    }

    #[test]
    fn the_fast_way_and_the_long_way_agree(message in "[ab \t漢]{0,40}") {
        let mut terminal = Terminal::default();
        terminal.show("\x1b[1;31m");
        let mut other = terminal.clone();
        prop_assert_eq!(terminal.show(&message), other.show(&format!("\x1b[K{message}")));
    }
}
