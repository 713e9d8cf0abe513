//! One viewer's body: reads its session whenever the connection has room.
//!
//! There is no task and no queue behind it. What it holds while it waits is its session, two
//! boxed timers' worth of state, and nothing of the log.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::frames::{self, Frames};
use crate::domain::{Block, Offset};
use crate::http::auth::Access;
use crate::http::seats::Seat;
use crate::store::{Gap, ReadError};
use crate::subscribe::{Event, Filter, Session};

/// The least time between two frames that only move the resume point.
const ID_ONLY_INTERVAL: Duration = Duration::from_secs(1);

/// Frames of a block below this many bytes are joined with the next one's.
const SMALL_BYTES: usize = 16 * 1024;

/// About how many bytes are joined to one chunk.
const JOINED_BYTES: usize = 64 * 1024;

/// What a viewer is opened with.
pub(in crate::http) struct Opening {
    pub(in crate::http) session: Session,
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
    pub(in crate::http) seat: Seat,
}

/// The state behind a stream's body.
pub(in crate::http) struct Viewer {
    session: Session,
    frames: Frames,
    filter: Option<Filter>,
    access: Access,
    /// Read and not yet sent, from `from` on.
    blocks: std::vec::IntoIter<Arc<Block>>,
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
    alarm: Pin<Box<Sleep>>,
    drain: Pin<Box<WaitForCancellationFutureOwned>>,
    has_ended: bool,
    _seat: Seat,
}

/// What a viewer waits for.
enum Turn {
    Drain,
    Alarm,
    Event(Result<Event, ReadError>),
}

impl Viewer {
    pub(in crate::http) fn open(opening: Opening) -> Self {
        let Opening { session, filter, access, heartbeat, drain, seat, .. } = opening;
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
            blocks: Vec::new().into_iter(),
            greeting: Some(greeting),
            hidden: None,
            next_id_only: now,
            heartbeat,
            next_heartbeat: now + heartbeat,
            expires_at: opening.expires_in.and_then(|left| now.checked_add(left)),
            alarm: Box::pin(sleep_until(now + heartbeat)),
            drain: Box::pin(drain.cancelled_owned()),
            has_ended: false,
            _seat: seat,
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
            let turn = self.turn().await;
            if let Some(chunk) = self.on_turn(turn) {
                return Some(chunk);
            }
            // A filter may hide any number of blocks that are at hand.
            tokio::task::yield_now().await;
        }
    }

    async fn turn(&mut self) -> Turn {
        self.set_alarm();
        tokio::select! {
            biased;
            () = &mut self.drain => Turn::Drain,
            () = &mut self.alarm => Turn::Alarm,
            event = self.session.next() => Turn::Event(event),
        }
    }

    /// Moves the alarm only where it would come too late, which is seldom.
    fn set_alarm(&mut self) {
        let next_id_only = self.hidden.map(|_| self.next_id_only);
        let times = [Some(self.next_heartbeat), next_id_only, self.expires_at];
        let earliest = times.into_iter().flatten().min().unwrap_or(self.next_heartbeat);
        if self.alarm.is_elapsed() || earliest < self.alarm.deadline() {
            self.alarm.as_mut().reset(earliest);
        }
    }

    fn on_turn(&mut self, turn: Turn) -> Option<Bytes> {
        match turn {
            Turn::Drain => {
                Some(self.end_with("draining", "the server is shutting down", true).into())
            }
            Turn::Alarm => self.on_alarm().map(Bytes::from),
            Turn::Event(Ok(event)) => self.on_event(event),
            Turn::Event(Err(error)) => {
                tracing::error!(%error, "a viewer's stream failed");
                Some(self.end_with("read_failed", "the log cannot be read now", true).into())
            }
        }
    }

    fn on_alarm(&mut self) -> Option<Vec<u8>> {
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
            Event::Entries { blocks, from } => {
                self.from = from;
                self.blocks = blocks.into_iter();
                self.next_chunk()
            }
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

    /// The next frames to send: a large block's own shared bytes, or small blocks' joined, since
    /// a copy of them costs less than the chunk and the system call that each would be.
    fn next_chunk(&mut self) -> Option<Bytes> {
        let first = self.next_block()?;
        if first.len() >= SMALL_BYTES || self.blocks.len() == 0 {
            return Some(first);
        }
        let likely_bytes = first.len() * (self.blocks.len() + 1);
        let mut joined = Vec::with_capacity(likely_bytes.min(JOINED_BYTES));
        joined.extend_from_slice(&first);
        while joined.len() < JOINED_BYTES - SMALL_BYTES
            && let Some(next) = self.next_block()
        {
            joined.extend_from_slice(&next);
        }
        Some(joined.into())
    }

    /// The frames of the next block that has a visible entry.
    fn next_block(&mut self) -> Option<Bytes> {
        while let Some(block) = self.blocks.next() {
            let (bytes, last) = self.render(&block);
            self.hidden = (last != Some(block.last())).then(|| block.last());
            if last.is_some() {
                self.next_heartbeat = Instant::now() + self.heartbeat;
                return Some(bytes);
            }
        }
        None
    }

    /// The visible frames and the last entry among them.
    fn render(&self, block: &Block) -> (Bytes, Option<Offset>) {
        if !self.access.allows(&block.task) {
            return (Bytes::new(), None);
        }
        let is_whole = self.from <= block.base;
        let part = match &self.filter {
            None if is_whole => return (self.frames.block(block), Some(block.last())),
            None => self.frames.part(block, self.from, |_| true),
            Some(filter) => self.frames.part(block, self.from, |entry| filter.matches(entry)),
        };
        (part.bytes.into(), part.last)
    }
}

/// The offset before `cursor`, which is at least 1.
fn before(cursor: Offset) -> Offset {
    Offset(cursor.0.saturating_sub(1))
}
