//! One viewer's body: reads its session whenever the connection can take more.
//!
//! There is no task and no queue behind it. A viewer that may see all of a range is sent bytes that
//! all such viewers share; one that may see less gets frames of its own, with the same bytes for
//! the entries that both see. While it waits it holds its session, one timer and the signal to
//! drain, and nothing of the log. What a viewer has not taken counts against the readers' budget;
//! without memory a viewer gets small pieces, and what was read for it is forgotten in between.

mod ending;
mod opening;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::domain::{Block, Entry, Gap, Offset, TaskId};
use crate::http::auth::access::Access;
use crate::http::reader_budget::{PIECE_BYTES, ReaderBudget, with_budget};
use crate::http::sse::frames::{self, Frames};
use crate::http::viewer_permits::ViewerPermit;
use crate::hub::BlockRange;
use crate::permits::BytePermit;
use crate::store::ReadError;
use crate::subscribe::{Event, LineFilter, LineParts, ReaderSession};
pub(in crate::http) use ending::ViewerLog;
pub(in crate::http) use opening::ViewerOptions;

/// The least time between two frames that only move the point to resume from.
const ID_ONLY_INTERVAL: Duration = Duration::from_secs(1);

/// The state behind a stream's body.
pub(in crate::http) struct Viewer {
    session: ReaderSession,
    frames: Frames,
    filter: Option<LineFilter>,
    /// A line that the filter must look up.
    unknown_line: Option<(TaskId, LineParts)>,
    access: Access,
    unsent: Option<Unsent>,
    budget: ReaderBudget,
    large: LargeEntry,
    /// The first chunk, until it is sent.
    greeting: Option<Vec<u8>>,
    /// The last hidden entry, while the viewer was sent no id at or after it.
    hidden: Option<Offset>,
    next_id_only: Instant,
    heartbeat: Duration,
    next_heartbeat: Instant,
    expires_at: Option<Instant>,
    /// Fires at the earliest of the times above or sooner; then it is set again.
    timer: Pin<Box<Sleep>>,
    drain: Pin<Box<WaitForCancellationFutureOwned>>,
    has_ended: bool,
    permit: ViewerPermit,
    log: ViewerLog,
    /// Entries of the chunk that is made, until they are counted.
    rendered_entries: u64,
}

/// Entries that were read and not yet sent.
struct Unsent {
    range: Arc<BlockRange>,
    /// The index of the next block.
    block: usize,
    /// Entries below it are not sent.
    from: Offset,
    /// For the range.
    budget: Option<BytePermit>,
}

/// An entry that is larger than a piece, and needs memory before it is rendered.
enum LargeEntry {
    None,
    /// Of so many bytes.
    Waits(usize),
    HasBudget(BytePermit),
}

/// What ends a viewer's wait.
enum Wakeup {
    Drain,
    Timer,
    Event(Result<Event, ReadError>),
}

impl Viewer {
    /// The body; each chunk is frames of one or several blocks, or one other frame.
    pub(in crate::http) fn into_body(self) -> Body {
        // Boxed, so that each step moves a pointer.
        let chunks = stream::unfold(Box::new(self), async |mut viewer| {
            let chunk = viewer.next().await?;
            viewer.note_sent(chunk.len());
            Some((Ok::<_, std::convert::Infallible>(chunk), viewer))
        });
        Body::from_stream(chunks)
    }

    /// Counts what [`Viewer::next`] has yielded, in bytes, as sent.
    pub(in crate::http) fn note_sent(&mut self, bytes: usize) {
        let entries = std::mem::take(&mut self.rendered_entries);
        self.permit.note_sent(entries, bytes);
        self.log.note_sent(entries, bytes);
    }

    /// The next frames, whole; `None` at the end. Dropped before it resolves, nothing is lost.
    pub(in crate::http) async fn next(&mut self) -> Option<Bytes> {
        if let Some(greeting) = self.greeting.take() {
            return Some(greeting.into());
        }
        loop {
            if let Some(chunk) = self.next_chunk() {
                return Some(chunk);
            }
            if self.has_ended {
                return None;
            }
            let wakeup = self.wakeup().await;
            if let Some(chunk) = self.on_wakeup(wakeup) {
                return Some(chunk);
            }
            // A filter may hide any number of blocks, so other tasks get their turn.
            tokio::task::yield_now().await;
        }
    }

    async fn wakeup(&mut self) -> Wakeup {
        self.set_timer();
        if let (Some((task, parts)), Some(filter)) = (self.unknown_line.take(), &mut self.filter) {
            tokio::select! {
                biased;
                () = &mut self.drain => return Wakeup::Drain,
                found = self.session.look_up(filter, &task, parts) => {
                    if let Err(error) = found {
                        return Wakeup::Event(Err(error));
                    }
                }
            }
        }
        if let LargeEntry::Waits(bytes) = self.large {
            tokio::select! {
                biased;
                () = &mut self.drain => return Wakeup::Drain,
                budget = self.budget.large(bytes) => self.large = LargeEntry::HasBudget(budget),
            }
        }
        tokio::select! {
            biased;
            () = &mut self.drain => Wakeup::Drain,
            () = &mut self.timer => Wakeup::Timer,
            event = self.session.next() => Wakeup::Event(event),
        }
    }

    /// Moves the timer only where it would fire too late, which is rare.
    fn set_timer(&mut self) {
        let next_id_only = self.hidden.map(|_| self.next_id_only);
        let times = [Some(self.next_heartbeat), next_id_only, self.expires_at];
        let earliest = times.into_iter().flatten().min().unwrap_or(self.next_heartbeat);
        if self.timer.is_elapsed() || earliest < self.timer.deadline() {
            self.timer.as_mut().reset(earliest);
        }
    }

    fn on_wakeup(&mut self, wakeup: Wakeup) -> Option<Bytes> {
        match wakeup {
            Wakeup::Drain => {
                Some(self.end_with("draining", "the server is shutting down", true).into())
            }
            Wakeup::Timer => self.on_timer().map(Bytes::from),
            Wakeup::Event(Ok(event)) => self.on_event(event),
            Wakeup::Event(Err(error)) => {
                self.log.span.in_scope(|| tracing::error!(%error, "a viewer's stream failed"));
                Some(self.end_with("read_failed", "the log cannot be read now", true).into())
            }
        }
    }

    fn on_timer(&mut self) -> Option<Vec<u8>> {
        let now = Instant::now();
        if self.expires_at.is_some_and(|at| at <= now) {
            return Some(self.end_with("token_expired", "the token has expired", false));
        }
        if self.next_id_only <= now
            && let Some(hidden) = self.hidden.take()
        {
            self.next_id_only = now + ID_ONLY_INTERVAL;
            return Some(self.frames.id_only(hidden));
        }
        if self.next_heartbeat <= now {
            self.next_heartbeat = now + self.heartbeat;
            return Some(frames::heartbeat());
        }
        None
    }

    fn on_event(&mut self, event: Event) -> Option<Bytes> {
        match event {
            Event::Reset => Some(self.frames.reset(before(self.session.cursor())).into()),
            Event::Entries { range, from } => self.on_entries(range, from),
            Event::Gap(gap) => Some(self.on_gap(gap).into()),
            Event::Unfinished(lines) => self.on_unfinished(&lines),
            Event::Complete(task) => {
                self.end_as("complete");
                Some(self.frames.complete(&task).into())
            }
            Event::Deleted => {
                Some(self.end_with("task_deleted", "the task was deleted", false).into())
            }
            Event::End => self.on_end().map(Bytes::from),
        }
    }

    fn on_gap(&mut self, gap: Gap) -> Vec<u8> {
        self.hidden = None;
        self.permit.note_gap(gap.reason);
        // The number counts lines of tasks that the viewer may not see.
        let lines = gap.lines.filter(|_| matches!(self.access, Access::All));
        self.frames.gap(&Gap { lines, ..gap })
    }

    fn on_end(&mut self) -> Option<Vec<u8>> {
        self.end_as("end");
        self.hidden.take().map(|hidden| self.frames.id_only(hidden))
    }

    fn end_as(&mut self, end: &'static str) {
        self.has_ended = true;
        self.log.note_end(end);
    }

    fn end_with(&mut self, code: &'static str, message: &str, retryable: bool) -> Vec<u8> {
        self.end_as(code);
        let mut chunk = Vec::new();
        if let Some(hidden) = self.hidden.take() {
            chunk.extend(self.frames.id_only(hidden));
        }
        chunk.extend(frames::retry());
        chunk.extend(frames::error(code, message, retryable));
        chunk
    }

    /// Sends all of a range in the bytes that viewers share, or only what the viewer may see.
    fn on_entries(&mut self, range: Arc<BlockRange>, from: Offset) -> Option<Bytes> {
        if self.sees_all(range.blocks(), from)
            && let Some(shared) = self.shared(&range)
        {
            self.hidden = None;
            self.rendered_entries += entries_in(range.blocks());
            self.next_heartbeat = Instant::now() + self.heartbeat;
            return Some(shared);
        }
        self.unsent = Some(Unsent { range, block: 0, from, budget: None });
        self.next_chunk()
    }

    fn sees_all(&self, blocks: &[Arc<Block>], from: Offset) -> bool {
        let is_whole = blocks.first().is_some_and(|first| from <= first.base);
        is_whole
            && self.filter.is_none()
            && blocks.iter().all(|block| self.access.allows(&block.task))
    }

    /// The bytes that all share who see all of `range`; `None` without memory for them.
    fn shared(&self, range: &BlockRange) -> Option<Bytes> {
        if let Some(known) = range.known_rendered() {
            return Some(known);
        }
        let likely = range.blocks().iter().map(|block| frames::likely_bytes(block)).sum();
        let budget = self.budget.try_ahead(likely)?;
        Some(range.rendered(|blocks| with_budget(self.frames.blocks(blocks), budget)))
    }

    /// Frames of the next unsent entries that the viewer may see.
    fn next_chunk(&mut self) -> Option<Bytes> {
        let mut unsent = self.unsent.take()?;
        let mut chunk = Vec::new();
        if !self.render(&mut chunk, &mut unsent) {
            self.keep(unsent);
        }
        if chunk.is_empty() {
            return None;
        }
        self.next_heartbeat = Instant::now() + self.heartbeat;
        Some(match std::mem::replace(&mut self.large, LargeEntry::None) {
            LargeEntry::HasBudget(budget) => with_budget(chunk, budget),
            other => {
                self.large = other;
                chunk.into()
            }
        })
    }

    /// Appends frames of what the viewer may see, up to a whole piece; whether that was all.
    fn render(&mut self, chunk: &mut Vec<u8>, unsent: &mut Unsent) -> bool {
        let id_line = self.frames.id_line();
        while let Some(block) = unsent.range.blocks().get(unsent.block) {
            let from = unsent.from;
            let entries = block.entries().filter(|entry| entry.offset >= from);
            for entry in entries {
                let passes = self.access.allows(&block.task).then(|| self.passes(&entry));
                if let Some(Err(parts)) = passes {
                    self.unknown_line = Some((block.task.clone(), parts));
                    unsent.from = entry.offset;
                    return false;
                }
                if !matches!(passes, Some(Ok(true))) {
                    self.hidden = Some(entry.offset);
                    continue;
                }
                unsent.from = entry.offset;
                if chunk.len() >= PIECE_BYTES || !self.has_budget(chunk, &entry) {
                    return false;
                }
                frames::write_entry(chunk, id_line.as_bytes(), &entry);
                self.rendered_entries += 1;
                self.hidden = None;
            }
            unsent.from = block.end();
            unsent.block += 1;
        }
        true
    }

    fn passes(&self, entry: &Entry<'_>) -> Result<bool, LineParts> {
        self.filter.as_ref().map_or(Ok(true), |filter| filter.passes(entry))
    }

    /// Whether there is memory for `entry`; a large one goes alone.
    fn has_budget(&mut self, chunk: &[u8], entry: &Entry<'_>) -> bool {
        let bytes = entry.body.len();
        if bytes <= PIECE_BYTES {
            return true;
        }
        if chunk.is_empty() && !matches!(self.large, LargeEntry::HasBudget(_)) {
            let budget = self.budget.try_large(bytes);
            self.large = budget.map_or(LargeEntry::Waits(bytes), LargeEntry::HasBudget);
        }
        chunk.is_empty() && matches!(self.large, LargeEntry::HasBudget(_))
    }

    /// Keeps what is unsent where there is memory for it; otherwise it is read again.
    fn keep(&mut self, mut unsent: Unsent) {
        // Whoever waits for memory holds none; nor does who looks up a line.
        if matches!(self.large, LargeEntry::Waits(_)) || self.unknown_line.is_some() {
            unsent.budget = None;
        } else if unsent.budget.is_none() {
            let bytes = unsent.range.blocks().iter().map(|block| block.payload.len()).sum();
            unsent.budget = self.budget.try_ahead(bytes);
        }
        match unsent.budget {
            Some(_) => self.unsent = Some(unsent),
            None => self.session.go_back_to(unsent.from),
        }
    }
}

fn entries_in(blocks: &[Arc<Block>]) -> u64 {
    blocks.iter().map(|block| u64::from(block.count)).sum()
}

/// The offset before `cursor`, which is at least 1.
fn before(cursor: Offset) -> Offset {
    Offset(cursor.0.saturating_sub(1))
}

mod refilter;
mod unfinished;

#[cfg(test)]
mod tests;
