//! Cuts what is read into lines and pushes them, each with the time at which it was read.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::input::{Chunk, InputReport, Splitter};
use crate::client::push::{Line, Pusher};

/// Pushes lines.
pub(super) struct Feed {
    pusher: Pusher,
    /// A source has its own unfinished line.
    splitters: Vec<(Option<Arc<str>>, Splitter)>,
    clock: LineClock,
    input: InputReport,
}

impl Feed {
    pub(super) fn new(pusher: Pusher) -> Self {
        let clock = LineClock { last_us: 0 };
        Self { pusher, splitters: Vec::new(), clock, input: InputReport::default() }
    }

    /// Pushes what comes until it ends or `stop` is cancelled, then what was read before that.
    /// When pushing has ended the rest is read too, and counted: whoever writes it lives on.
    pub(super) async fn read(
        mut self,
        mut chunks: mpsc::Receiver<Chunk>,
        stop: &CancellationToken,
    ) -> InputReport {
        loop {
            let chunk = match stop.run_until_cancelled(chunks.recv()).await {
                Some(chunk) => chunk,
                None => chunks.try_recv().ok(),
            };
            match chunk {
                Some(Chunk { source, bytes: Ok(bytes) }) => {
                    let lines = self.splitter(&source).split(&bytes);
                    self.push(&source, lines).await;
                }
                Some(Chunk { bytes: Err(failure), .. }) => self.input.failure = Some(failure),
                None => break,
            }
        }
        self.finish().await
    }

    async fn finish(mut self) -> InputReport {
        for (source, mut splitter) in std::mem::take(&mut self.splitters) {
            self.push(&source, splitter.last_line().into_iter().collect()).await;
            self.input.invalid_lines += splitter.invalid_lines();
            self.input.cut_lines += splitter.cut_lines();
        }
        self.input
    }

    fn splitter(&mut self, source: &Option<Arc<str>>) -> &mut Splitter {
        let found = self.splitters.iter().position(|(of, _)| of == source);
        let index = found.unwrap_or_else(|| {
            self.splitters.push((source.clone(), Splitter::default()));
            self.splitters.len() - 1
        });
        &mut self.splitters[index].1
    }

    async fn push(&mut self, source: &Option<Arc<str>>, messages: Vec<String>) {
        for message in messages {
            let timestamp = self.clock.next(Timestamp::now().as_microsecond());
            let line = Line { timestamp, source: source.clone(), message };
            let is_late = self.pusher.push(line).await.is_err();
            self.input.late_lines += u64::from(is_late);
        }
    }
}

/// Gives lines their times, of which no two are the same.
struct LineClock {
    last_us: i64,
}

impl LineClock {
    /// `now_us`, or the microsecond after the last line's.
    fn next(&mut self, now_us: i64) -> Arc<str> {
        self.last_us = now_us.max(self.last_us + 1);
        let time = Timestamp::from_microsecond(self.last_us).unwrap_or_default();
        format!("{time:.6}").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_times_of_their_own_also_when_the_clock_stands_or_goes_back() {
        let mut clock = LineClock { last_us: 0 };
        let times = [1_000_000, 1_000_000, 900_000, 2_000_000].map(|now| clock.next(now));
        let expected = ["01.000000", "01.000001", "01.000002", "02.000000"];
        for (time, second) in times.iter().zip(expected) {
            assert_eq!(&**time, format!("1970-01-01T00:00:{second}Z"));
        }
    }
}
