//! Numbers of things, in words.

/// `n` things, in words: `1 line`, `2 lines`.
pub(super) fn count(n: u64, thing: &str) -> String {
    if n == 1 {
        return format!("1 {thing}");
    }
    match thing.strip_suffix('y') {
        Some(stem) => format!("{n} {stem}ies"),
        None => format!("{n} {thing}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_no_plural() {
        assert_eq!([count(0, "line"), count(1, "line")], ["0 lines", "1 line"]);
        assert_eq!([count(1, "entry"), count(2, "entry")], ["1 entry", "2 entries"]);
    }
}
