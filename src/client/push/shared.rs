//! The window as it is shared: pushers wait for room, streams wait for lines.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::Stream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Ended;
use super::window::{Line, Next, Offered, ResendWindow};
use crate::domain::WorkerState;
use crate::proto::ottoscaler::WorkerLogEntry;

pub(super) struct PushShared {
    window: Mutex<ResendWindow>,
    /// Streams look again: there is a line, or an end.
    lines: Notify,
    /// Pushers look again: there is room, or an end.
    room: Notify,
}

impl PushShared {
    pub(super) fn new(window: ResendWindow) -> Self {
        Self { window: Mutex::new(window), lines: Notify::new(), room: Notify::new() }
    }

    /// The window, for a moment; never held over an await.
    pub(super) fn window(&self) -> MutexGuard<'_, ResendWindow> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn push(&self, mut line: Line) -> Result<(), Ended> {
        loop {
            // Made before the look, so that room made in between still wakes it.
            let room = self.room.notified();
            let offered = self.window().offer(line);
            match offered {
                Offered::Taken => {
                    self.lines.notify_waiters();
                    return Ok(());
                }
                Offered::Ended => return Err(Ended),
                Offered::Full(back) => line = back,
            }
            room.await;
        }
    }

    pub(super) fn finish(&self, status: Option<WorkerState>) {
        self.window().finish(status);
        self.lines.notify_waiters();
    }

    pub(super) fn stop(&self) {
        self.window().stop();
        self.lines.notify_waiters();
        self.room.notify_waiters();
    }

    /// Changes the window by an answer, which may make room.
    pub(super) fn settle<T>(&self, change: impl FnOnce(&mut ResendWindow) -> T) -> T {
        let result = change(&mut self.window());
        self.room.notify_waiters();
        result
    }

    /// The entries of a new stream, from the first unanswered line. Earlier streams end.
    pub(super) fn entries(self: &Arc<Self>) -> impl Stream<Item = WorkerLogEntry> + Send + use<> {
        let stream = self.window().begin_stream();
        self.lines.notify_waiters();
        futures_util::stream::unfold(self.clone(), move |shared| async move {
            let entry = shared.next_entry(stream).await?;
            Some((entry, shared))
        })
    }

    async fn next_entry(&self, stream: u64) -> Option<WorkerLogEntry> {
        loop {
            let lines = self.lines.notified();
            let next = self.window().next_for(stream, Instant::now());
            match next {
                Next::Send(entry) => return Some(entry),
                Next::End => return None,
                Next::Wait => lines.await,
                Next::WaitUntil(until) => sleep_until(until).await,
            }
        }
    }
}
