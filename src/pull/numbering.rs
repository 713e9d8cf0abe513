//! Decides which responses are new, by their epochs and cursors.

use std::sync::Arc;

use crate::domain::{Cursor, WorkerId};

/// The longest epoch, in bytes.
const MAX_EPOCH_BYTES: usize = 240;

/// How far the source has been read.
#[derive(Debug)]
pub(super) struct SourceNumbering {
    /// The cursors that the log has, the one advanced last at the end.
    known: Vec<Cursor>,
    /// The cursor of this stream's epoch; `None` until the source named one.
    current: Option<Cursor>,
}

impl SourceNumbering {
    /// For a new stream; `known` are the cursors that the log has.
    pub(super) fn new(known: Vec<Cursor>) -> Self {
        Self { known, current: None }
    }

    /// The cursor to resume after.
    pub(super) fn resume(&self) -> Option<&Cursor> {
        self.current.as_ref().or(self.known.last())
    }

    /// Whether a response with this epoch changes the epoch.
    pub(super) fn changes_with(&self, epoch: &str) -> bool {
        let is_other = |current: &Cursor| !epoch.is_empty() && *current.source != *epoch;
        self.current.as_ref().is_some_and(is_other)
    }

    /// Goes on in a response's epoch; empty means the same as before.
    ///
    /// # Errors
    /// When none was named yet, or it is invalid.
    pub(super) fn enter(&mut self, epoch: &str) -> Result<(), String> {
        match &self.current {
            Some(current) if epoch.is_empty() || *current.source == *epoch => return Ok(()),
            _ => check(epoch)?,
        }
        let known = self.known.iter().find(|known| *known.source == *epoch).cloned();
        let begun = || Cursor { source: Arc::from(epoch), number: 0 };
        if let Some(left) = self.current.replace(known.unwrap_or_else(begun)) {
            self.known.retain(|known| known.source != left.source);
            self.known.push(left);
        }
        Ok(())
    }

    /// The cursor of a new response.
    ///
    /// # Errors
    /// The last cursor, when `number` is not greater.
    pub(super) fn advance(&mut self, number: u64) -> Result<Cursor, u64> {
        let current = self.current.as_mut().expect("every response enters its epoch first");
        if number <= current.number {
            return Err(current.number);
        }
        current.number = number;
        Ok(current.clone())
    }
}

fn check(epoch: &str) -> Result<(), String> {
    if epoch.is_empty() {
        return Err("the source's first response names no epoch".into());
    }
    if epoch.len() > MAX_EPOCH_BYTES {
        let bytes = epoch.len();
        return Err(format!("the source's epoch is {bytes} bytes, the limit is {MAX_EPOCH_BYTES}"));
    }
    // The same rule as for ids: both are kept and shown.
    let checked = WorkerId::new(epoch).map(drop);
    checked.map_err(|error| error.to_string().replacen("worker_id", "the source's epoch", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(source: &str, number: u64) -> Cursor {
        Cursor { source: source.into(), number }
    }

    #[test]
    fn only_greater_cursors_of_an_epoch_are_new() {
        let mut numbering = SourceNumbering::new(vec![cursor("b", 3), cursor("a", 5)]);
        assert_eq!(numbering.resume(), Some(&cursor("a", 5)));
        numbering.enter("a").unwrap();
        assert!([5, 4, 0].iter().all(|number| numbering.advance(*number) == Err(5)));
        assert_eq!(numbering.advance(9), Ok(cursor("a", 9)));
        numbering.enter("").unwrap();
        assert_eq!(numbering.advance(9), Err(9));
        numbering.enter("b").unwrap();
        assert_eq!((numbering.advance(3), numbering.advance(4)), (Err(3), Ok(cursor("b", 4))));
        numbering.enter("new").unwrap();
        assert_eq!(numbering.advance(1), Ok(cursor("new", 1)));
        numbering.enter("a").unwrap();
        assert_eq!(numbering.advance(9), Err(9), "what was left is remembered");
    }

    #[test]
    fn an_epoch_is_named_first_and_keeps_the_rules_of_ids() {
        let reason = |epoch: &str| SourceNumbering::new(Vec::new()).enter(epoch).unwrap_err();
        assert_eq!(reason(""), "the source's first response names no epoch");
        assert_eq!(reason(&"x".repeat(241)), "the source's epoch is 241 bytes, the limit is 240");
        let control = "the source's epoch holds the control character U+000A at byte 1";
        assert_eq!(reason("a\nb"), control);
    }
}
