//! One reader of a task, or of all: what it gets, and when.

use std::sync::Arc;

use tokio::sync::watch;

use super::filter::LineParts;
use super::line_filter::LineFilter;
use super::source::Source;
use super::start::{Start, StartPoint};
use super::ticks::Tick;
use crate::domain::{Gap, Offset, Scope, TaskId};
use crate::hub::{
    BlockRange, RANGE_BYTES, Subscription, UnfinishedLine, UnfinishedSince, WindowRead,
};
use crate::store::ReadError;
use crate::tasks::{Task, TaskState};

/// What happens next to a reader.
#[derive(Debug, Clone)]
pub enum Event {
    /// The id to resume from was not given by this store; reading starts over.
    Reset,
    /// Entries: those of `range` with an offset of at least `from`.
    Entries {
        /// The blocks that they are in.
        range: Arc<BlockRange>,
        /// The cursor that they were read at.
        from: Offset,
    },
    /// Entries that are missing.
    Gap(Gap),
    /// What workers have written without a line feed, now that all of the log was yielded. A line
    /// of the same worker and source ends it.
    Unfinished(Vec<Arc<UnfinishedLine>>),
    /// The task is complete and all its entries were yielded. The last event.
    Complete(Task),
    /// The task was deleted while the session was open. The last event.
    Deleted,
    /// The end of the log at the opening, for a session that does not follow. The last event.
    End,
}

/// One reader. Yields events until [`Event::Complete`], [`Event::Deleted`] or [`Event::End`].
pub struct ReaderSession {
    source: Source,
    scope: Scope,
    subscription: Subscription,
    changes: watch::Receiver<u64>,
    /// The next offset wanted.
    cursor: Offset,
    /// The version of the last unfinished line that was yielded.
    unfinished_version: u64,
    /// Where to stop, for a session that does not follow.
    until: Option<Offset>,
    /// Whether a reset is still to be yielded.
    is_reset: bool,
    /// Whether it last read the window, not the log.
    is_live: bool,
    /// The tick of the last read that reached the end of the window; the next read waits for a
    /// later one.
    busy_since: Option<Tick>,
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
        let subscription = source.hub.subscribe(&scope);
        let changes = subscription.changes();
        let tail = source.log.tail();
        let StartPoint { cursor, is_reset } =
            StartPoint::find(&source, &scope, start, tail).await?;
        let until = (!follow).then_some(tail);
        Ok(Self {
            source,
            scope,
            subscription,
            changes,
            cursor,
            unfinished_version: 0,
            until,
            is_reset,
            is_live: false,
            busy_since: None,
        })
    }

    /// The next offset that the session wants.
    pub fn cursor(&self) -> Offset {
        self.cursor
    }

    /// Lets `filter` find out about a line of `task` in parts.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn look_up(
        &self,
        filter: &mut LineFilter,
        task: &TaskId,
        parts: LineParts,
    ) -> Result<(), ReadError> {
        filter.look_up(&*self.source.log, task, parts).await
    }

    /// Yields the entries from `offset` on again, which it has yielded.
    pub fn go_back_to(&mut self, offset: Offset) {
        self.cursor = offset;
        self.busy_since = None;
    }

    /// The task, when it is complete and the session has yielded all of it.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn finished(&self) -> Result<Option<Task>, ReadError> {
        let Scope::Task(task) = &self.scope else { return Ok(None) };
        let task = self.source.tasks.get(task).await?;
        Ok(task.filter(|task| {
            let at_end = self.cursor > task.summary.last_offset && !self.is_reset;
            at_end && task.is_complete()
        }))
    }

    /// The next event; waits for one. Dropped before it resolves, nothing is lost.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn next(&mut self) -> Result<Event, ReadError> {
        if std::mem::take(&mut self.is_reset) {
            return Ok(Event::Reset);
        }
        loop {
            self.wait_for_tick().await;
            // Marked as seen before the read, so that a change during it is not missed.
            self.changes.borrow_and_update();
            if self.subscription.is_deleted() {
                return Ok(Event::Deleted);
            }
            let unfinished = self.subscription.unfinished_since(self.unfinished_version);
            let event = self.read().await?;
            if let Some(event @ (Event::Entries { .. } | Event::Gap(_))) = event {
                return Ok(event);
            }
            if let Some(task) = self.finished().await? {
                return Ok(Event::Complete(task));
            }
            match event {
                Some(end) => return Ok(end),
                None => {
                    let UnfinishedSince { lines, version } = unfinished;
                    self.unfinished_version = version;
                    if !lines.is_empty() {
                        return Ok(Event::Unfinished(lines));
                    }
                    self.wait().await?;
                }
            }
        }
    }

    /// Holds a busy session back to one read per tick.
    async fn wait_for_tick(&mut self) {
        if let Some(last) = self.busy_since {
            self.source.ticks.after(last).await;
            self.busy_since = None;
        }
    }

    async fn read(&mut self) -> Result<Option<Event>, ReadError> {
        loop {
            if self.until.is_some_and(|until| self.cursor >= until) {
                return Ok(Some(Event::End));
            }
            let read = self.subscription.read(self.cursor);
            let was_live = self.is_live;
            self.is_live = !matches!(read, WindowRead::Behind);
            match read {
                WindowRead::Nothing if self.until.is_none() => return Ok(None),
                // The window has nothing more, so there is no entry in scope before `until`.
                WindowRead::Nothing => return Ok(Some(Event::End)),
                WindowRead::Blocks { range, more } => {
                    self.busy_since = (!more).then(|| self.source.ticks.last());
                    return Ok(Some(self.entries(range)));
                }
                WindowRead::Behind => {
                    self.subscription.note_replay(was_live);
                    if let Some(event) = self.read_log().await? {
                        return Ok(Some(event));
                    }
                }
            }
        }
    }

    /// Reads the log, before the window's start; `None` when it has nothing more in scope and the
    /// window is next.
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

    /// Waits until the window changes, or the task is complete if nothing more comes.
    async fn wait(&mut self) -> Result<(), ReadError> {
        let task = match &self.scope {
            Scope::Task(task) => self.source.tasks.get(task).await?,
            Scope::All => None,
        };
        let quiet_in = match task.map(|task| task.state) {
            Some(TaskState::Running { quiet_in }) => quiet_in,
            Some(TaskState::Complete { .. }) | None => None,
        };
        let changed = self.changes.changed();
        // It cannot fail: the subscription holds the window, which sends the changes.
        match quiet_in {
            Some(quiet_in) => drop(tokio::time::timeout(quiet_in, changed).await),
            None => drop(changed.await),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
