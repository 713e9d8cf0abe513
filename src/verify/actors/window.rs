//! A producer's lines that are not answered yet. Knows no network.

use std::collections::VecDeque;

use tokio::time::Instant;

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) number: u64,
    /// Its place in the current stream, from 1; `None` while it is to be sent.
    ordinal: Option<u64>,
    /// When it was sent first.
    pub(super) sent_at: Option<Instant>,
}

/// The server answered in a way that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "it answered entry {sequence} of the stream; sent are {sent}, the oldest unanswered is {oldest:?}"
)]
pub(super) struct Nonsense {
    sequence: i64,
    sent: u64,
    oldest: Option<u64>,
}

/// Lines by age; the sent ones come first.
#[derive(Debug, Default)]
pub(super) struct SeenWindow {
    lines: VecDeque<Waiting>,
    sent: u64,
    last_number: u64,
}

impl SeenWindow {
    /// Makes a new line, to be sent.
    pub(super) fn add(&mut self) {
        self.last_number += 1;
        let number = self.last_number;
        self.lines.push_back(Waiting { number, ordinal: None, sent_at: None });
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.lines.back().is_some_and(|line| line.ordinal.is_none())
    }

    /// Takes the next line for sent; also whether it is sent for the first time.
    pub(super) fn send(&mut self, now: Instant) -> Option<(u64, bool)> {
        let next = self.lines.partition_point(|line| line.ordinal.is_some());
        let line = self.lines.get_mut(next)?;
        self.sent += 1;
        line.ordinal = Some(self.sent);
        let is_first = line.sent_at.is_none();
        line.sent_at.get_or_insert(now);
        Some((line.number, is_first))
    }

    /// A new stream begins. Where lines are resent, all unanswered ones are to be sent anew;
    /// else those that were sent are given up.
    pub(super) fn begin_stream(&mut self, resends: bool) {
        self.sent = 0;
        if !resends {
            self.lines.retain(|line| line.ordinal.is_none());
        }
        self.lines.iter_mut().for_each(|line| line.ordinal = None);
    }

    /// Every line up to the one with ordinal `sequence` is answered.
    pub(super) fn answer_up_to(&mut self, sequence: i64) -> Result<Vec<Waiting>, Nonsense> {
        let ordinal = self.ordinal(sequence)?;
        let end = self.lines.partition_point(|line| line.ordinal.is_some_and(|o| o <= ordinal));
        if end == 0 {
            return Err(self.nonsense(sequence));
        }
        Ok(self.lines.drain(..end).collect())
    }

    /// The line with ordinal `sequence` is answered.
    pub(super) fn answer(&mut self, sequence: i64) -> Result<Waiting, Nonsense> {
        let ordinal = self.ordinal(sequence)?;
        let at = self.lines.iter().position(|line| line.ordinal == Some(ordinal));
        at.and_then(|at| self.lines.remove(at)).ok_or_else(|| self.nonsense(sequence))
    }

    fn ordinal(&self, sequence: i64) -> Result<u64, Nonsense> {
        let ordinal =
            u64::try_from(sequence).ok().filter(|ordinal| (1..=self.sent).contains(ordinal));
        ordinal.ok_or_else(|| self.nonsense(sequence))
    }

    fn nonsense(&self, sequence: i64) -> Nonsense {
        let oldest = self.lines.front().and_then(|line| line.ordinal);
        Nonsense { sequence, sent: self.sent, oldest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(lines: &[Waiting]) -> Vec<u64> {
        lines.iter().map(|line| line.number).collect()
    }

    #[test]
    fn a_new_stream_resends_what_is_unanswered_or_gives_it_up() {
        for (resends, expected) in [(true, vec![2, 3, 4]), (false, vec![4])] {
            let mut window = SeenWindow::default();
            (0..4).for_each(|_| window.add());
            let sent: Vec<_> = (0..3).filter_map(|_| window.send(Instant::now())).collect();
            assert_eq!(sent, [(1, true), (2, true), (3, true)]);
            assert_eq!(window.answer(1).unwrap().number, 1);
            window.begin_stream(resends);
            let sent: Vec<_> = std::iter::from_fn(|| window.send(Instant::now())).collect();
            assert_eq!(sent.iter().map(|(number, _)| *number).collect::<Vec<_>>(), expected);
            assert_eq!(sent[0].1, !resends);
        }
    }

    #[test]
    fn an_answer_to_what_was_not_sent_or_was_answered_before_is_nonsense() {
        let mut window = SeenWindow::default();
        (0..3).for_each(|_| window.add());
        window.send(Instant::now());
        window.send(Instant::now());
        assert!(window.answer_up_to(3).is_err());
        assert!(window.answer(0).is_err());
        assert_eq!(numbers(&window.answer_up_to(2).unwrap()), [1, 2]);
        assert!(window.answer_up_to(2).is_err());
        assert!(window.has_unsent());
    }
}
