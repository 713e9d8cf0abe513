//! How far pulled sources have been read, kept in the same commits as their entries.
//!
//! # Layout
//! `postcard` of [(source, number)], the source advanced last at the end. It is the payload of a
//! control chunk at the end of a commit (those that the commit advances), and stands in a
//! segment's footer behind the task records (all of them). The newest of the two counts, so a
//! cursor outlives its entries; before retention deletes the last footer, a control chunk in the
//! active segment repeats them.

use crate::domain::Cursor;

/// Sources remembered; a source has one numbering, and a new one when it starts anew.
const MAX_SOURCES: usize = 4;

/// The last number of each source, the source advanced last at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::store) struct Cursors(Vec<Cursor>);

impl Cursors {
    pub(in crate::store) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The cursors, the one advanced last at the end.
    pub(in crate::store) fn to_vec(&self) -> Vec<Cursor> {
        self.0.clone()
    }

    /// Notes that `cursor` is the newest. Of too many sources, the oldest is forgotten.
    pub(in crate::store) fn advance(&mut self, cursor: Cursor) {
        self.0.retain(|known| known.source != cursor.source);
        if self.0.len() == MAX_SOURCES {
            self.0.remove(0);
        }
        self.0.push(cursor);
    }

    /// Notes all of `newer`, in order.
    pub(in crate::store) fn advance_all(&mut self, newer: &Self) {
        newer.0.iter().cloned().for_each(|cursor| self.advance(cursor));
    }

    pub(in crate::store) fn encode(&self) -> Vec<u8> {
        let pairs: Vec<_> = self.0.iter().map(|known| (&*known.source, known.number)).collect();
        postcard::to_stdvec(&pairs).expect("texts and numbers always encode into memory")
    }

    /// Reads what [`Cursors::encode`] wrote. Empty bytes give no cursors: they
    /// stand in a footer from before there were any, and in the control chunk of a clean close.
    pub(in crate::store) fn decode(bytes: &[u8]) -> Option<Self> {
        Self::take(bytes).map(|(cursors, _)| cursors)
    }

    /// The same, and what stands behind.
    pub(in crate::store) fn take(bytes: &[u8]) -> Option<(Self, &[u8])> {
        if bytes.is_empty() {
            return Some((Self::default(), bytes));
        }
        let (pairs, behind): (Vec<(&str, u64)>, _) = postcard::take_from_bytes(bytes).ok()?;
        let cursor = |(source, number): (&str, u64)| Cursor { source: source.into(), number };
        Some((Self(pairs.into_iter().map(cursor).collect()), behind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(source: &str, number: u64) -> Cursor {
        Cursor { source: source.into(), number }
    }

    #[test]
    fn the_newest_sources_are_remembered_and_survive_encoding() {
        let mut cursors = Cursors::default();
        for n in 0..6 {
            cursors.advance(cursor(&format!("s{n}"), n));
        }
        cursors.advance(cursor("s3", 70));
        let expected = [cursor("s2", 2), cursor("s4", 4), cursor("s5", 5), cursor("s3", 70)];
        assert_eq!(cursors.to_vec(), expected);
        assert_eq!(Cursors::decode(&cursors.encode()), Some(cursors));
        assert_eq!(Cursors::decode(b""), Some(Cursors::default()));
    }
}
