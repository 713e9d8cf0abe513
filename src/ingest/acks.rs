//! What producers are told, entry by entry and in order.

/// How a producer wants its entries answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckMode {
    /// One answer for each entry.
    Each,
    /// One ACK for all entries up to its sequence that were not answered before.
    Cumulative,
}

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AckStatus {
    /// Durable.
    Kept,
    /// Not kept now; it may be sent again.
    Retry(String),
    /// Never kept; says why.
    Dropped(String),
}

/// The answer to one entry, or to several in cumulative mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The entry's ordinal in its stream, from 1.
    pub sequence: u64,
    /// What became of it.
    pub outcome: AckStatus,
    /// How long the producer is asked to wait, in milliseconds.
    pub throttle_ms: u32,
}

/// What entries of one batch have in common until the batch is settled.
#[derive(Debug, Default)]
pub(super) struct PendingAcks {
    /// The first entry's sequence.
    first: u64,
    /// The sequence after the last entry's.
    end: u64,
    /// The refused ones among them, in order.
    dropped: Vec<(u64, String)>,
}

impl PendingAcks {
    /// Nothing yet; the next entry is `first`.
    pub(super) fn from(first: u64) -> Self {
        Self { first, end: first, dropped: Vec::new() }
    }

    pub(super) fn keep(&mut self) {
        self.end += 1;
    }

    pub(super) fn drop(&mut self, reason: String) {
        self.dropped.push((self.end, reason));
        self.end += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first == self.end
    }

    pub(super) fn count(&self) -> u64 {
        self.end - self.first
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn dropped_count(&self) -> u64 {
        self.dropped.len() as u64
    }
}

/// Acks that are ready to go, made one by one as they are taken.
#[derive(Debug)]
pub(super) struct Acks {
    next: u64,
    end: u64,
    dropped: std::iter::Peekable<std::vec::IntoIter<(u64, String)>>,
    /// What the entries that were not refused became.
    outcome: AckStatus,
    throttle_ms: u32,
    mode: AckMode,
}

impl Acks {
    pub(super) fn none(mode: AckMode) -> Self {
        Self::new(PendingAcks::default(), AckStatus::Kept, 0, mode)
    }

    pub(super) fn new(
        expected: PendingAcks,
        outcome: AckStatus,
        throttle_ms: u32,
        mode: AckMode,
    ) -> Self {
        let PendingAcks { first, end, dropped } = expected;
        Self {
            next: first,
            end,
            dropped: dropped.into_iter().peekable(),
            outcome,
            throttle_ms,
            mode,
        }
    }

    fn take(&mut self) -> Option<(u64, AckStatus)> {
        if self.next == self.end {
            return None;
        }
        if let Some((sequence, reason)) = self.dropped.next_if(|(at, _)| *at == self.next) {
            self.next += 1;
            return Some((sequence, AckStatus::Dropped(reason)));
        }
        let step = match (self.mode, &self.outcome) {
            (AckMode::Cumulative, AckStatus::Kept) => self.kept_in_a_row(),
            _ => 1,
        };
        self.next += step;
        Some((self.next - 1, self.outcome.clone()))
    }

    fn kept_in_a_row(&mut self) -> u64 {
        self.dropped.peek().map_or(self.end, |(at, _)| *at) - self.next
    }
}

impl Iterator for Acks {
    type Item = Ack;

    /// The last answer carries the throttle, so that a batch is throttled once.
    fn next(&mut self) -> Option<Ack> {
        let (sequence, outcome) = self.take()?;
        let must_wait = matches!(outcome, AckStatus::Retry(_)) || self.next == self.end;
        let throttle_ms = if must_wait { self.throttle_ms } else { 0 };
        Some(Ack { sequence, outcome, throttle_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> PendingAcks {
        let mut expected = PendingAcks::from(5);
        expected.keep();
        expected.keep();
        expected.drop("bad".into());
        expected.keep();
        expected
    }

    fn taken(outcome: AckStatus, mode: AckMode) -> Vec<(u64, AckStatus, u32)> {
        let answers = Acks::new(expected(), outcome, 9, mode);
        answers.map(|answer| (answer.sequence, answer.outcome, answer.throttle_ms)).collect()
    }

    #[test]
    fn each_entry_gets_its_own_answer_in_order_and_the_last_one_the_throttle() {
        let bad = AckStatus::Dropped("bad".into());
        let kept = AckStatus::Kept;
        let expected =
            [(5, kept.clone(), 0), (6, kept.clone(), 0), (7, bad, 0), (8, kept.clone(), 9)];
        assert_eq!(taken(kept, AckMode::Each), expected);
    }

    #[test]
    fn a_cumulative_answer_stands_for_all_kept_entries_before_it() {
        let expected = [
            (6, AckStatus::Kept, 0),
            (7, AckStatus::Dropped("bad".into()), 0),
            (8, AckStatus::Kept, 9),
        ];
        assert_eq!(taken(AckStatus::Kept, AckMode::Cumulative), expected);
    }

    #[test]
    fn a_retry_is_told_for_each_entry_with_the_throttle_in_either_mode() {
        let retry = AckStatus::Retry("full".into());
        for mode in [AckMode::Each, AckMode::Cumulative] {
            let taken = taken(retry.clone(), mode);
            let retried: Vec<_> =
                taken.iter().filter(|(_, outcome, _)| *outcome == retry).collect();
            assert_eq!(retried.len(), 3);
            assert!(retried.iter().all(|(.., throttle_ms)| *throttle_ms == 9));
        }
    }
}
