//! The newest lines of a log that no longer fits, in memory until the file is closed.

use std::collections::VecDeque;

/// Encoded lines, bounded in bytes: the oldest go first.
#[derive(Debug)]
pub(super) struct NewestLines {
    lines: VecDeque<Vec<u8>>,
    bytes: u64,
    limit_bytes: u64,
    /// How many had to go.
    lost: u64,
}

impl NewestLines {
    pub(super) fn new(limit_bytes: u64) -> Self {
        Self { lines: VecDeque::new(), bytes: 0, limit_bytes, lost: 0 }
    }

    pub(super) fn push(&mut self, line: Vec<u8>) {
        self.bytes += line.len() as u64;
        self.lines.push_back(line);
        self.shrink_to(self.limit_bytes);
    }

    pub(super) fn shrink_to(&mut self, bytes: u64) {
        while self.bytes > bytes {
            let Some(oldest) = self.lines.pop_front() else { return };
            self.bytes -= oldest.len() as u64;
            self.lost += 1;
        }
    }

    /// Whether no line ever had to be held.
    pub(super) fn is_unused(&self) -> bool {
        self.lines.is_empty() && self.lost == 0
    }

    pub(super) fn len(&self) -> u64 {
        self.lines.len() as u64
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.lines.iter().flatten().copied().collect()
    }
}
