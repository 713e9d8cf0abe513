//! One viewer's body: reads its session whenever the connection has room.
//!
//! There is no task and no queue behind it. A viewer that sees all of a range sends the bytes
//! that all such viewers share; one that sees less gets frames of its own, the same for what
//! both see. What it holds while it waits is its session, two boxed timers' worth of state, and
//! nothing of the log.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::frames::{self, Frames};
use crate::domain::Gap;
use crate::domain::{Block, Entry, Offset};
use crate::http::auth::Access;
use crate::http::viewer_permits::ViewerPermit;
use crate::hub::BlockRange;
use crate::store::ReadError;
use crate::subscribe::{Event, Filter, ReaderSession};

/// The least time between two frames that only move the resume point.
const ID_ONLY_INTERVAL: Duration = Duration::from_secs(1);

/// About how many bytes are made to one chunk, where a viewer sees not all of a range.
const CHUNK_BYTES: usize = 64 * 1024;

/// What a viewer is opened with.
pub(in crate::http) struct ViewerOptions {
    pub(in crate::http) session: ReaderSession,
    pub(in crate::http) epoch: crate::domain::Epoch,
    /// What the viewer asked to see.
    pub(in crate::http) filter: Filter,
    /// What it may see.
    pub(in crate::http) access: Access,
    /// Whether the viewer is told at once where it stands, because it does not begin at the
    /// beginning: it would miss what comes before its first event if it were cut off.
    pub(in crate::http) tell_position: bool,
    pub(in crate::http) heartbeat: Duration,
    /// When its token expires.
    pub(in crate::http) expires_in: Option<Duration>,
    pub(in crate::http) drain: CancellationToken,
    pub(in crate::http) permit: ViewerPermit,
}

/// The state behind a stream's body.
pub(in crate::http) struct Viewer {
    session: ReaderSession,
    frames: Frames,
    filter: Option<Filter>,
    access: Access,
    /// Read and not yet sent: the blocks from an index on, of them the entries from `from` on.
    unsent: Option<(Arc<BlockRange>, usize)>,
    from: Offset,
    /// The first bytes, until they are sent.
    greeting: Option<Vec<u8>>,
    /// The last hidden entry, when the viewer knows of no later one.
    hidden: Option<Offset>,
    next_id_only: Instant,
    heartbeat: Duration,
    next_heartbeat: Instant,
    expires_at: Option<Instant>,
    /// Fires at the earliest of the times above, or before: then it is set again.
    timer: Pin<Box<Sleep>>,
    drain: Pin<Box<WaitForCancellationFutureOwned>>,
    has_ended: bool,
    _seat: ViewerPermit,
}

/// What a viewer waits for.
enum Wakeup {
    Drain,
    Timer,
    Event(Result<Event, ReadError>),
}

impl Viewer {
    pub(in crate::http) fn open(opening: ViewerOptions) -> Self {
        let ViewerOptions { session, filter, access, heartbeat, drain, permit, .. } = opening;
        let frames = Frames { epoch: opening.epoch };
        let now = Instant::now();
        let mut greeting = frames::retry();
        if opening.tell_position {
            greeting.extend(frames.id_only(before(session.cursor())));
        }
        Self {
            from: session.cursor(),
            session,
            frames,
            filter: (!filter.is_empty()).then_some(filter),
            access,
            unsent: None,
            greeting: Some(greeting),
            hidden: None,
            next_id_only: now,
            heartbeat,
            next_heartbeat: now + heartbeat,
            expires_at: opening.expires_in.and_then(|left| now.checked_add(left)),
            timer: Box::pin(sleep_until(now + heartbeat)),
            drain: Box::pin(drain.cancelled_owned()),
            has_ended: false,
            _seat: permit,
        }
    }

    /// The body; each chunk is frames of one or several blocks, or one other frame.
    pub(in crate::http) fn into_body(self) -> Body {
        // Boxed, so that each step moves a pointer.
        let chunks = stream::unfold(Box::new(self), async |mut viewer| {
            let chunk = viewer.next().await?;
            Some((Ok::<_, std::convert::Infallible>(chunk), viewer))
        });
        Body::from_stream(chunks)
    }

    async fn next(&mut self) -> Option<Bytes> {
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
            // A filter may hide any number of blocks that are at hand.
            tokio::task::yield_now().await;
        }
    }

    async fn wakeup(&mut self) -> Wakeup {
        self.set_timer();
        tokio::select! {
            biased;
            () = &mut self.drain => Wakeup::Drain,
            () = &mut self.timer => Wakeup::Timer,
            event = self.session.next() => Wakeup::Event(event),
        }
    }

    /// Moves the timer only where it would come too late, which is seldom.
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
                tracing::error!(%error, "a viewer's stream failed");
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
            Event::Complete(task) => {
                self.has_ended = true;
                Some(self.frames.complete(&task).into())
            }
            Event::End => self.on_end().map(Bytes::from),
        }
    }

    fn on_gap(&mut self, gap: Gap) -> Vec<u8> {
        self.hidden = None;
        // The number of lines would speak of other tasks too.
        let lines = gap.lines.filter(|_| matches!(self.access, Access::All));
        self.frames.gap(&Gap { lines, ..gap })
    }

    fn on_end(&mut self) -> Option<Vec<u8>> {
        self.has_ended = true;
        let hidden = self.hidden.take();
        match self.session.finished() {
            Some(task) => Some(self.frames.complete(&task)),
            None => hidden.map(|hidden| self.frames.id_only(hidden)),
        }
    }

    fn end_with(&mut self, code: &str, message: &str, retryable: bool) -> Vec<u8> {
        self.has_ended = true;
        let mut chunk = Vec::new();
        if let Some(hidden) = self.hidden.take() {
            chunk.extend(self.frames.id_only(hidden));
        }
        chunk.extend(frames::retry());
        chunk.extend(frames::error(code, message, retryable));
        chunk
    }

    /// All of a range at once, in the bytes that everybody gets, or only what is to be seen.
    fn on_entries(&mut self, range: Arc<BlockRange>, from: Offset) -> Option<Bytes> {
        if self.sees_all(range.blocks(), from) {
            self.hidden = None;
            self.next_heartbeat = Instant::now() + self.heartbeat;
            return Some(range.rendered(|blocks| self.frames.blocks(blocks)));
        }
        self.from = from;
        self.unsent = Some((range, 0));
        self.next_chunk()
    }

    fn sees_all(&self, blocks: &[Arc<Block>], from: Offset) -> bool {
        let is_whole = blocks.first().is_some_and(|first| from <= first.base);
        is_whole
            && self.filter.is_none()
            && blocks.iter().all(|block| self.access.allows(&block.task))
    }

    /// The next visible frames of what is not sent yet.
    fn next_chunk(&mut self) -> Option<Bytes> {
        let (range, mut index) = self.unsent.take()?;
        let mut chunk = Vec::new();
        while chunk.len() < CHUNK_BYTES
            && let Some(block) = range.blocks().get(index)
        {
            let last = self.render(&mut chunk, block);
            self.hidden = (last != Some(block.last())).then(|| block.last());
            index += 1;
        }
        if index < range.blocks().len() {
            self.unsent = Some((range, index));
        }
        if chunk.is_empty() {
            return None;
        }
        self.next_heartbeat = Instant::now() + self.heartbeat;
        Some(chunk.into())
    }

    /// Appends the visible frames of a block; returns the last entry among them.
    fn render(&self, chunk: &mut Vec<u8>, block: &Block) -> Option<Offset> {
        if !self.access.allows(&block.task) {
            return None;
        }
        let passes = |entry: &Entry<'_>| match &self.filter {
            None => true,
            Some(filter) => filter.matches(entry),
        };
        self.frames.part(chunk, block, self.from, passes)
    }
}

/// The offset before `cursor`, which is at least 1.
fn before(cursor: Offset) -> Offset {
    Offset(cursor.0.saturating_sub(1))
}
