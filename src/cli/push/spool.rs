//! What is not delivered goes to the spool, and what lies there is sent beside the build.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};

use super::args::Args;
use super::console::Console;
use super::signals::Signals;
use crate::client::push::{Line, PushOptions, Pusher};
use crate::client::spool::{SpoolDir, SpoolError, SpoolReport, SpoolSender, SpoolWriter};

/// The spool that `args` name, if they name one.
///
/// # Errors
/// When it cannot be used.
pub(super) fn of(args: &Args) -> Result<Option<SpoolDir>, SpoolError> {
    let limit_bytes = args.spool_bytes.as_u64();
    args.spool.as_deref().map(|path| SpoolDir::open(path, limit_bytes)).transpose()
}

/// Keeps what a pusher could not deliver. Clones keep the same.
#[derive(Clone)]
pub(super) struct Leftovers {
    dir: SpoolDir,
    pusher: Pusher,
    ends_task: bool,
    file: Arc<Mutex<LeftoverFile>>,
}

#[derive(Default)]
enum LeftoverFile {
    #[default]
    NotBegun,
    Writing(SpoolWriter),
    /// It could not be made: so many lines are lost, and this is why.
    Failed(u64, String),
    Closed,
}

impl Leftovers {
    pub(super) fn new(dir: SpoolDir, pusher: Pusher, ends_task: bool) -> Self {
        Self { dir, pusher, ends_task, file: Arc::default() }
    }

    /// Keeps lines that came after pushing had ended.
    pub(super) async fn keep(&self, lines: Vec<Line>) {
        let leftovers = self.clone();
        let keep = move || leftovers.append(lines);
        spawn_blocking(keep).await.expect("it does not panic and is never aborted");
    }

    /// Closes the file, with the worker's end.
    pub(super) async fn finish(self) -> SpoolReport {
        let close = move || self.close();
        spawn_blocking(close).await.expect("it does not panic and is never aborted")
    }

    fn append(&self, lines: Vec<Line>) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        match self.begun(&mut file) {
            LeftoverFile::Writing(writer) => writer.append_late(lines),
            LeftoverFile::Failed(lost, _) => *lost += lines.len() as u64,
            LeftoverFile::NotBegun | LeftoverFile::Closed => {}
        }
    }

    fn close(&self) -> SpoolReport {
        let end = self.pusher.take_end();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        self.begun(&mut file);
        match std::mem::replace(&mut *file, LeftoverFile::Closed) {
            LeftoverFile::Writing(writer) => writer.finish(end.as_ref()),
            LeftoverFile::Failed(lost, failure) => {
                SpoolReport { lost, failure: Some(failure), ..SpoolReport::default() }
            }
            LeftoverFile::NotBegun | LeftoverFile::Closed => SpoolReport::default(),
        }
    }

    /// The file, which what waits for an ACK is written to first.
    fn begun<'a>(&self, file: &'a mut LeftoverFile) -> &'a mut LeftoverFile {
        if matches!(file, LeftoverFile::NotBegun) {
            let undelivered = self.pusher.take_undelivered();
            let lines = undelivered.lines.len() as u64;
            *file = match SpoolWriter::create(&self.dir, undelivered, self.ends_task) {
                Ok(writer) => LeftoverFile::Writing(writer),
                Err(error) => LeftoverFile::Failed(lines, error.to_string()),
            };
        }
        file
    }
}

/// The sending of what earlier pushes left; it ends when this is dropped.
pub(super) struct SpoolSending {
    sender: SpoolSender,
    task: JoinHandle<()>,
}

impl Drop for SpoolSending {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SpoolSending {
    pub(super) fn start(dir: SpoolDir, options: PushOptions, console: &Arc<Console>) -> Self {
        let notices = console.clone();
        let sender = SpoolSender::new(dir, options, move |notice| notices.spool_notice(&notice));
        let task = tokio::spawn(sender.clone().run());
        Self { sender, task }
    }

    /// Waits for its end for `patience` at most, and tells what was sent.
    pub(super) async fn finish(
        mut self,
        patience: Duration,
        signals: &mut Signals,
        console: &Console,
    ) {
        tokio::select! {
            _ = tokio::time::timeout(patience, &mut self.task) => {}
            _ = signals.next() => {}
        }
        console.spool_totals(self.sender.totals());
    }
}
