//! The window that pushers and streams share: pushers wait for space, streams for lines.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::Stream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::error::Ended;
use super::options::TimedStatus;
use super::window::{Line, NextEntry, Offered, ResendWindow};
use crate::proto::ottoscaler::WorkerLogEntry;

pub(super) struct SharedWindow {
    window: Mutex<ResendWindow>,
    /// Wakes streams: there is a line, or no more will come.
    lines: Notify,
    /// Wakes pushers: there is space, or pushing has ended.
    space: Notify,
}

impl SharedWindow {
    pub(super) fn new(window: ResendWindow) -> Self {
        Self { window: Mutex::new(window), lines: Notify::new(), space: Notify::new() }
    }

    /// The window, for a moment; never held over an await.
    pub(super) fn lock(&self) -> MutexGuard<'_, ResendWindow> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn push(&self, mut line: Line) -> Result<(), Ended> {
        loop {
            // Registered before the attempt, so that space made right after it still wakes us.
            let space = self.space.notified();
            let offered = self.lock().offer(line);
            match offered {
                Offered::Taken => {
                    self.lines.notify_waiters();
                    return Ok(());
                }
                Offered::Ended(back) => return Err(Ended(back)),
                Offered::Full(back) => line = back,
            }
            space.await;
        }
    }

    pub(super) fn show_unfinished(&self, line: Line) {
        self.lock().show_unfinished(line);
        self.lines.notify_waiters();
    }

    /// The server of `stream` takes unfinished lines.
    pub(super) fn allow_unfinished(&self, stream: u64) {
        self.lock().allow_unfinished(stream);
        self.lines.notify_waiters();
    }

    pub(super) fn finish(&self, end: Option<TimedStatus>) {
        self.lock().finish(end);
        self.lines.notify_waiters();
    }

    pub(super) fn stop(&self) {
        self.lock().stop();
        self.lines.notify_waiters();
        self.space.notify_waiters();
    }

    /// Changes the window by a response, which may make space.
    pub(super) fn apply<T>(&self, change: impl FnOnce(&mut ResendWindow) -> T) -> T {
        let result = change(&mut self.lock());
        self.space.notify_waiters();
        result
    }

    /// A new stream takes over; returns its number. Earlier streams end.
    pub(super) fn begin_stream(&self) -> u64 {
        let stream = self.lock().begin_stream();
        self.lines.notify_waiters();
        stream
    }

    /// The entries of `stream`, from the first line without an ACK.
    pub(super) fn entries(
        self: &Arc<Self>,
        stream: u64,
    ) -> impl Stream<Item = WorkerLogEntry> + Send + use<> {
        futures_util::stream::unfold(self.clone(), move |shared| async move {
            let entry = shared.next_entry(stream).await?;
            Some((entry, shared))
        })
    }

    async fn next_entry(&self, stream: u64) -> Option<WorkerLogEntry> {
        loop {
            let lines = self.lines.notified();
            let next = self.lock().next_for(stream, Instant::now());
            match next {
                NextEntry::Send(entry) => return Some(entry),
                NextEntry::End => return None,
                NextEntry::Wait => lines.await,
                NextEntry::WaitUntil(until) => sleep_until(until).await,
            }
        }
    }
}
