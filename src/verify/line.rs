//! The text of a line: it names itself, so whoever reads it knows whether it is whole and whose it is.
//!
//! `<worker> <number> <checksum> <filler>`. The checksum covers the task too, so a line that turns
//! up in another task is not taken for one of its own.

use std::fmt::Write;

/// What stands in the filler: quotes, escapes and letters of two to four bytes, as real logs have.
const FILLER: [&str; 6] = [
    "the \"quick\" fox ",
    "\\jumps\\ ",
    "\t{\"a\":[1,2]} ",
    "größer → ",
    "日本 🦊 ",
    "\u{1b}[31mred\u{1b}[0m ",
];

/// The text of line `number`. The same arguments give the same text.
pub(super) fn text(seed: u64, task: &str, worker: &str, number: u64) -> String {
    let filler = filler(seed, worker, number);
    let checksum = checksum(task, worker, number, &filler);
    let mut text = String::with_capacity(filler.len() + worker.len() + 32);
    // Writing to a String cannot fail.
    let _ = write!(text, "{worker} {number} {checksum:08x} {filler}");
    text
}

/// The number of a line as it was read back; `None` when nobody sent it so.
pub(super) fn number(task: &str, worker: &str, text: &str) -> Option<u64> {
    let mut parts = text.splitn(4, ' ');
    let named = parts.next()?;
    let number = parts.next()?.parse().ok()?;
    let told = u32::from_str_radix(parts.next()?, 16).ok()?;
    let filler = parts.next()?;
    let is_whole = named == worker && told == checksum(task, worker, number, filler);
    is_whole.then_some(number)
}

fn checksum(task: &str, worker: &str, number: u64, filler: &str) -> u32 {
    let head = crc32c::crc32c(format!("{task} {worker} {number} ").as_bytes());
    crc32c::crc32c_append(head, filler.as_bytes())
}

/// Mostly short, some of a few KiB, rarely of tens of KiB.
fn filler(seed: u64, worker: &str, number: u64) -> String {
    let worker = u64::from(crc32c::crc32c(worker.as_bytes()));
    let mut random = fastrand::Rng::with_seed(seed ^ worker.rotate_left(32) ^ number);
    let bytes = match random.u32(0..1000) {
        0..800 => random.usize(0..150),
        800..995 => random.usize(150..2_000),
        _ => random.usize(2_000..60_000),
    };
    let mut filler = String::with_capacity(bytes + 8);
    while filler.len() < bytes {
        match random.u32(0..8) {
            0 => filler.push_str(FILLER[random.usize(0..FILLER.len())]),
            // Noise, so that compression does not keep segments from filling.
            _ => (0..8).for_each(|_| filler.push(random.alphanumeric())),
        }
    }
    filler
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_known_again_by_its_text_and_by_nothing_else() {
        for line in 1..500 {
            let text = text(7, "t", "w1", line);
            assert_eq!(number("t", "w1", &text), Some(line));
            assert_eq!(number("other", "w1", &text), None);
            assert_eq!(number("t", "w2", &text), None);
            assert_eq!(number("t", "w1", &text[..text.len().saturating_sub(1).max(1)]), None);
        }
        assert_eq!(number("t", "w1", ""), None);
    }

    #[test]
    fn the_same_seed_gives_the_same_text() {
        assert_eq!(text(1, "t", "w", 9), text(1, "t", "w", 9));
        assert_ne!(text(1, "t", "w", 9), text(2, "t", "w", 9));
    }
}
