//! One reader's way through the log.

use std::sync::Arc;

use tokio::sync::watch;

use super::ticks::{Tick, Ticks};
use crate::domain::{EventId, Offset};
use crate::domain::{Gap, Scope};
use crate::hub::{BlockRange, Hub, RANGE_BYTES, Read, Subscription};
use crate::store::{Log, ReadError};
use crate::tasks::{Task, TaskState, Tasks};

/// Where sessions read from. Clones share it.
#[derive(Clone)]
pub struct Source {
    /// The log, for what is behind the window.
    pub log: Arc<dyn Log>,
    /// The windows, for what is new.
    pub hub: Hub,
    /// When a task is complete.
    pub tasks: Tasks,
    /// When busy streams are read; an idle one is served at once.
    pub ticks: Ticks,
}

/// Where a session begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the first kept entry.
    Beginning,
    /// After the last entry.
    Now,
    /// After the entry that this id names.
    After(EventId),
    /// So many lines before the end.
    Tail(u64),
}

/// What a session yields.
#[derive(Debug, Clone)]
pub enum Event {
    /// The id to resume from names another store; the stream begins anew.
    Reset,
    /// Entries: those of `range` with an offset of at least `from`.
    Entries {
        /// The blocks that they are in.
        range: Arc<BlockRange>,
        /// The cursor that they were read at.
        from: Offset,
    },
    /// Entries that are gone.
    Gap(Gap),
    /// The task is complete and everything of it was yielded. The last event.
    Complete(Task),
    /// The end that the session was to stop at. The last event.
    End,
}

/// One reader. Yields events until [`Event::Complete`] or [`Event::End`].
pub struct ReaderSession {
    source: Source,
    scope: Scope,
    window: Subscription,
    changes: watch::Receiver<u64>,
    /// The next offset wanted.
    cursor: Offset,
    /// Where to stop, for a session that does not follow.
    until: Option<Offset>,
    /// Set when the id to resume from names another store.
    reset: bool,
    /// Set by a read to the end of the window: the next is due at a later tick.
    paced: Option<Tick>,
}

impl ReaderSession {
    /// Opens a session. With `follow`, it goes on past the current end until the task is
    /// complete; without, it ends there.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn open(
        source: Source,
        scope: Scope,
        start: Start,
        follow: bool,
    ) -> Result<Self, ReadError> {
        let window = source.hub.watch(&scope);
        let changes = window.changes();
        let tail = source.log.tail();
        let resume = Resume { source: &source, scope: &scope, tail };
        let (cursor, reset) = resume.cursor(start).await?;
        let until = (!follow).then_some(tail);
        Ok(Self { source, scope, window, changes, cursor, until, reset, paced: None })
    }

    /// The next offset that the session wants.
    pub fn cursor(&self) -> Offset {
        self.cursor
    }

    /// The task, when it is complete and the session has yielded all of it.
    pub fn finished(&self) -> Option<Task> {
        let Scope::Task(task) = &self.scope else { return None };
        let task = self.source.tasks.get(task)?;
        let at_end = self.cursor > task.summary.last_offset && !self.reset;
        (at_end && task.state == TaskState::Complete).then_some(task)
    }

    /// The next event; waits for one. Dropped before it resolves, nothing is lost.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn next(&mut self) -> Result<Event, ReadError> {
        if std::mem::take(&mut self.reset) {
            return Ok(Event::Reset);
        }
        loop {
            self.pace().await;
            // Marked as seen before the read, so that a wake during it is not missed.
            self.changes.borrow_and_update();
            if let Some(event) = self.read().await? {
                return Ok(event);
            }
            if let Some(task) = self.finished() {
                return Ok(Event::Complete(task));
            }
            self.wait().await;
        }
    }

    /// Holds a busy stream back to one read a tick.
    async fn pace(&mut self) {
        if let Some(last) = self.paced {
            self.source.ticks.after(last).await;
            self.paced = None;
        }
    }

    async fn read(&mut self) -> Result<Option<Event>, ReadError> {
        loop {
            if self.until.is_some_and(|until| self.cursor >= until) {
                return Ok(Some(Event::End));
            }
            match self.window.read(self.cursor) {
                Read::Nothing if self.until.is_none() => return Ok(None),
                // The window ends here, so nothing in scope stands before the end.
                Read::Nothing => return Ok(Some(Event::End)),
                Read::Blocks { range, more } => {
                    self.paced = (!more).then(|| self.source.ticks.last());
                    return Ok(Some(self.entries(range)));
                }
                Read::Behind => {
                    if let Some(event) = self.read_log().await? {
                        return Ok(Some(event));
                    }
                }
            }
        }
    }

    /// Reads behind the window; `None` when there is nothing more and the window takes over.
    async fn read_log(&mut self) -> Result<Option<Event>, ReadError> {
        let read = self.source.log.read(self.scope.clone(), self.cursor, RANGE_BYTES).await?;
        if let Some(gap) = read.gap {
            self.cursor = self.cursor.max(gap.to.next());
            return Ok(Some(Event::Gap(gap)));
        }
        if read.blocks.is_empty() {
            self.cursor = self.cursor.max(read.next);
            return Ok(None);
        }
        Ok(Some(self.entries(Arc::new(BlockRange::new(read.blocks)))))
    }

    fn entries(&mut self, range: Arc<BlockRange>) -> Event {
        let from = self.cursor;
        self.cursor = range.end();
        Event::Entries { range, from }
    }

    /// Until the window changes, or the task may have become complete by being quiet.
    async fn wait(&mut self) {
        let quiet_in = match &self.scope {
            Scope::Task(task) => self.source.tasks.get(task).and_then(|task| match task.state {
                TaskState::Running { quiet_in } => quiet_in,
                TaskState::Complete => None,
            }),
            Scope::All => None,
        };
        let changed = self.changes.changed();
        // An error would mean that the window is gone, and this session holds it.
        match quiet_in {
            Some(quiet_in) => drop(tokio::time::timeout(quiet_in, changed).await),
            None => drop(changed.await),
        }
    }
}

struct Resume<'a> {
    source: &'a Source,
    scope: &'a Scope,
    tail: Offset,
}

impl Resume<'_> {
    /// Where to begin, and whether that is a reset.
    async fn cursor(&self, start: Start) -> Result<(Offset, bool), ReadError> {
        Ok(match start {
            Start::Beginning => (Offset::FIRST, false),
            Start::Now => (self.tail, false),
            Start::After(id) if self.gave(id) => (id.offset.next(), false),
            Start::After(_) => (self.default_start(), true),
            Start::Tail(lines) => (self.tail_start(lines).await?, false),
        })
    }

    /// Whether this store can have given that id out.
    fn gave(&self, id: EventId) -> bool {
        id.epoch == self.source.log.epoch() && id.offset < self.tail
    }

    fn default_start(&self) -> Offset {
        match self.scope {
            Scope::All => self.tail,
            Scope::Task(_) => Offset::FIRST,
        }
    }

    async fn tail_start(&self, lines: u64) -> Result<Offset, ReadError> {
        let task = match self.scope {
            Scope::All => return Ok(Offset(self.tail.0.saturating_sub(lines).max(1))),
            Scope::Task(task) => task,
        };
        match self.source.log.task(task) {
            Some(summary) if lines > 0 => {
                let line = (summary.last_line + 1).saturating_sub(lines).max(summary.first_line);
                self.source.log.locate(task.clone(), line).await
            }
            _ => Ok(self.tail),
        }
    }
}
