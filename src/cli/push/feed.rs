//! Cuts what is read into lines and pushes them, each with the time at which it was read.
//!
//! What is still without a line feed after a second is shown to those who watch, a prompt for example;
//! while it grows, once a second.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::input::{Chunk, InputReport, Splitter};
use super::spool::Leftovers;
use crate::client::push::{Ended, Line, Pusher};

/// How long a line may be without a line feed before it is shown as unfinished.
const UNFINISHED_AFTER: Duration = Duration::from_secs(1);

/// Pushes lines.
pub(super) struct Feed {
    pusher: Pusher,
    sources: Vec<SourceFeed>,
    /// Where late lines go, if not nowhere.
    leftovers: Option<Leftovers>,
    clock: LineClock,
    input: InputReport,
}

impl Feed {
    pub(super) fn new(pusher: Pusher, leftovers: Option<Leftovers>) -> Self {
        let (clock, input) = (LineClock { last_us: 0 }, InputReport::default());
        Self { pusher, leftovers, sources: Vec::new(), clock, input }
    }

    /// Pushes what comes until it ends or `stop` is cancelled, then what was read before that.
    /// When pushing has ended the rest is read too, counted, and kept in the spool if there is one:
    /// whoever writes it lives on.
    pub(super) async fn read(
        mut self,
        mut chunks: mpsc::Receiver<Chunk>,
        stop: &CancellationToken,
    ) -> InputReport {
        loop {
            let chunk = tokio::select! {
                biased;
                () = stop.cancelled() => chunks.try_recv().ok(),
                chunk = chunks.recv() => chunk,
                () = at(self.next_showing()) => {
                    self.show_unfinished();
                    continue;
                }
            };
            match chunk {
                Some(Chunk { source, bytes: Ok(bytes) }) => {
                    let lines = self.source(&source).split(&bytes);
                    self.push(&source, lines).await;
                }
                Some(Chunk { bytes: Err(failure), .. }) => self.input.failure = Some(failure),
                None => break,
            }
        }
        self.finish().await
    }

    async fn finish(mut self) -> InputReport {
        for SourceFeed { source, mut splitter, .. } in std::mem::take(&mut self.sources) {
            self.push(&source, splitter.last_line().into_iter().collect()).await;
            self.input.invalid_lines += splitter.invalid_lines();
            self.input.cut_lines += splitter.cut_lines();
        }
        self.input
    }

    fn source(&mut self, source: &Option<Arc<str>>) -> &mut SourceFeed {
        let found = self.sources.iter().position(|known| known.source == *source);
        let index = found.unwrap_or_else(|| {
            let (splitter, show_at) = Default::default();
            self.sources.push(SourceFeed { source: source.clone(), splitter, show_at });
            self.sources.len() - 1
        });
        &mut self.sources[index]
    }

    fn next_showing(&self) -> Option<Instant> {
        self.sources.iter().filter_map(|source| source.show_at).min()
    }

    fn show_unfinished(&mut self) {
        let now = Instant::now();
        for source in self.sources.iter_mut().filter(|source| source.show_at <= Some(now)) {
            if source.show_at.take().is_some()
                && let Some(message) = source.splitter.unfinished_line()
            {
                let timestamp = self.clock.next(Timestamp::now().as_microsecond());
                let line = Line { timestamp, source: source.source.clone(), message };
                self.pusher.show_unfinished(line);
            }
        }
    }

    async fn push(&mut self, source: &Option<Arc<str>>, messages: Vec<String>) {
        let mut late = Vec::new();
        for message in messages {
            let timestamp = self.clock.next(Timestamp::now().as_microsecond());
            let line = Line { timestamp, source: source.clone(), message };
            if let Err(Ended(line)) = self.pusher.push(line).await {
                late.push(line);
            }
        }
        self.input.late_lines += late.len() as u64;
        if let Some(leftovers) = self.leftovers.as_ref().filter(|_| !late.is_empty()) {
            leftovers.keep(late).await;
        }
    }
}

/// What was read from one source and is no line yet.
struct SourceFeed {
    source: Option<Arc<str>>,
    splitter: Splitter,
    /// When that is shown; `None` where it was, or there is nothing.
    show_at: Option<Instant>,
}

impl SourceFeed {
    /// The lines that `chunk` completes.
    fn split(&mut self, chunk: &[u8]) -> Vec<String> {
        let lines = self.splitter.split(chunk);
        if !lines.is_empty() {
            self.show_at = None;
        }
        if self.splitter.has_unfinished_line() {
            self.show_at.get_or_insert_with(|| Instant::now() + UNFINISHED_AFTER);
        }
        lines
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
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
