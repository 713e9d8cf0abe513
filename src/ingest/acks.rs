//! Acks: what a producer learns of each of its entries, in order.

use std::iter::Peekable;
use std::time::{Duration, Instant};
use std::vec;

use super::budget::Reservation;

/// How a producer wants its entries acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckMode {
    /// One ack for each entry.
    Each,
    /// One ACK for all kept entries up to its sequence that have no ack yet.
    Cumulative,
}

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AckStatus {
    /// Durable.
    Kept,
    /// Not kept now; it may be sent again. Says why.
    Retry(String),
    /// Never kept; says why.
    Dropped(String),
    /// An idle stream's last ACK once more: the stream lives.
    StillHere,
}

/// The ack of one entry, or of several in cumulative mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The entry's ordinal in its stream, from 1.
    pub sequence: u64,
    /// What became of it.
    pub status: AckStatus,
    /// How long the producer is asked to wait, in milliseconds.
    pub throttle_ms: u32,
}

/// The entries of one batch that wait for their acks.
#[derive(Debug, Default)]
pub(super) struct PendingAcks {
    /// The first entry's sequence.
    first: u64,
    /// The sequence after the last entry's.
    end: u64,
    /// When the first of them was read that is not dropped.
    read_at: Option<Instant>,
    /// Those of them that are dropped, in order.
    dropped: Vec<DroppedEntry>,
    /// Reservation for the batch, and then for the reasons of what was dropped.
    budget: Option<Reservation>,
}

#[derive(Debug)]
struct DroppedEntry {
    sequence: u64,
    reason: String,
}

impl PendingAcks {
    /// Nothing yet; the next entry is `first`.
    pub(super) fn starting_at(first: u64) -> Self {
        Self { first, end: first, read_at: None, dropped: Vec::new(), budget: None }
    }

    /// Holds `budget` until [`PendingAcks::release_budget`], or until the acks are taken.
    pub(super) fn hold(&mut self, budget: Option<Reservation>) {
        self.budget = budget;
    }

    /// The batch has left: only reasons may still need budget.
    pub(super) fn release_budget(&mut self) {
        if self.dropped.is_empty() {
            self.budget = None;
        }
    }

    /// Adds the next entry, whose ack depends on its batch.
    pub(super) fn add(&mut self) {
        self.read_at.get_or_insert_with(Instant::now);
        self.end += 1;
    }

    /// Adds the next entry, which is not in the batch because it breaks a rule.
    pub(super) fn add_dropped(&mut self, reason: String) {
        self.dropped.push(DroppedEntry { sequence: self.end, reason });
        self.end += 1;
    }

    /// How long ago the first entry was read that depends on the batch; `None` where none does.
    pub(super) fn waited(&self) -> Option<Duration> {
        self.read_at.map(|read_at| read_at.elapsed())
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
    dropped: Peekable<vec::IntoIter<DroppedEntry>>,
    /// Of the entries that were not dropped.
    status: AckStatus,
    throttle_ms: u32,
    mode: AckMode,
    _budget: Option<Reservation>,
}

impl Acks {
    pub(super) fn none(mode: AckMode) -> Self {
        Self::new(PendingAcks::default(), AckStatus::Kept, 0, mode)
    }

    pub(super) fn new(
        pending_acks: PendingAcks,
        status: AckStatus,
        throttle_ms: u32,
        mode: AckMode,
    ) -> Self {
        let PendingAcks { first, end, dropped, budget, .. } = pending_acks;
        let dropped = dropped.into_iter().peekable();
        Self { next: first, end, dropped, status, throttle_ms, mode, _budget: budget }
    }

    /// The next ack, without a throttle.
    fn take(&mut self) -> Option<Ack> {
        if self.next == self.end {
            return None;
        }
        let next = self.next;
        if let Some(dropped) = self.dropped.next_if(|dropped| dropped.sequence == next) {
            self.next += 1;
            let status = AckStatus::Dropped(dropped.reason);
            return Some(Ack { sequence: dropped.sequence, status, throttle_ms: 0 });
        }
        self.next += match (self.mode, &self.status) {
            (AckMode::Cumulative, AckStatus::Kept) => self.kept_in_a_row(),
            _ => 1,
        };
        Some(Ack { sequence: self.next - 1, status: self.status.clone(), throttle_ms: 0 })
    }

    fn kept_in_a_row(&mut self) -> u64 {
        self.dropped.peek().map_or(self.end, |dropped| dropped.sequence) - self.next
    }
}

impl Iterator for Acks {
    type Item = Ack;

    /// Each RETRY has the throttle; of a kept batch only the last ack has it, so that the
    /// producer waits once.
    fn next(&mut self) -> Option<Ack> {
        let mut ack = self.take()?;
        if matches!(ack.status, AckStatus::Retry(_)) || self.next == self.end {
            ack.throttle_ms = self.throttle_ms;
        }
        Some(ack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries 5 to 8, of which 7 is dropped.
    fn pending_acks() -> PendingAcks {
        let mut pending_acks = PendingAcks::starting_at(5);
        pending_acks.add();
        pending_acks.add();
        pending_acks.add_dropped("bad".into());
        pending_acks.add();
        pending_acks
    }

    fn acks(status: AckStatus, mode: AckMode) -> Vec<Ack> {
        Acks::new(pending_acks(), status, 9, mode).collect()
    }

    fn ack(sequence: u64, status: AckStatus, throttle_ms: u32) -> Ack {
        Ack { sequence, status, throttle_ms }
    }

    #[test]
    fn each_entry_gets_its_own_ack_in_order_and_the_last_one_the_throttle() {
        let expected = [
            ack(5, AckStatus::Kept, 0),
            ack(6, AckStatus::Kept, 0),
            ack(7, AckStatus::Dropped("bad".into()), 0),
            ack(8, AckStatus::Kept, 9),
        ];
        assert_eq!(acks(AckStatus::Kept, AckMode::Each), expected);
    }

    #[test]
    fn a_cumulative_ack_stands_for_all_kept_entries_before_it() {
        let expected = [
            ack(6, AckStatus::Kept, 0),
            ack(7, AckStatus::Dropped("bad".into()), 0),
            ack(8, AckStatus::Kept, 9),
        ];
        assert_eq!(acks(AckStatus::Kept, AckMode::Cumulative), expected);
    }

    #[test]
    fn each_entry_gets_its_own_retry_with_the_throttle_in_either_mode() {
        let retry = AckStatus::Retry("full".into());
        for mode in [AckMode::Each, AckMode::Cumulative] {
            let acks = acks(retry.clone(), mode);
            let retried: Vec<_> = acks.iter().filter(|ack| ack.status == retry).collect();
            assert_eq!(retried.len(), 3);
            assert!(retried.iter().all(|ack| ack.throttle_ms == 9));
        }
    }
}
