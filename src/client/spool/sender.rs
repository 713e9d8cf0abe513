//! Sends what lies in a spool, beside whatever else its process pushes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::directory::{Listing, SpoolDir};
use super::error::SpoolError;
use super::file::{SpoolContent, SpoolFile};
use super::record::{Closing, SpooledLine};
use crate::client::push::{Error, Notice, Observer, PushOptions, Pusher, Report, resume};

/// Lines that are read ahead of the window.
const READ_AHEAD: usize = 64;

/// The wait before files that could not be sent are tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// What the user should know.
#[derive(Debug)]
pub enum SpoolNotice {
    /// What is in the directory is no spool file.
    Foreign(PathBuf),
    /// The directory or a file cannot be read, or is damaged: it is left alone.
    Unusable(SpoolError),
    /// A file was cut off; so many of its lines are whole.
    CutOff {
        /// The file.
        path: PathBuf,
        /// Its whole lines.
        lines: u64,
    },
    /// A file was sent, but so many lines had not fit into it.
    NotWhole {
        /// The file.
        path: PathBuf,
        /// Lines that are lost.
        lost: u64,
    },
    /// The server refused for good; the file stays.
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What happened to a line or a status of a file.
    Push(Notice),
}

/// What was sent so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpoolTotals {
    /// Files that were sent and are gone.
    pub files: u64,
    /// Their lines that the server keeps.
    pub lines: u64,
    /// Their lines that the server refused for good.
    pub dropped: u64,
    /// Files that are still to be sent.
    pub waiting: u64,
}

/// Called with every notice; must not block.
type SpoolObserver = Arc<dyn Fn(SpoolNotice) + Send + Sync>;

/// Sends the files that lie in a spool when it starts.
#[derive(Clone)]
pub struct SpoolSender {
    dir: SpoolDir,
    options: PushOptions,
    observer: SpoolObserver,
    totals: Arc<Mutex<SpoolTotals>>,
}

/// What became of one file.
enum Sent {
    /// It is gone.
    Wholly,
    /// It stays, and another attempt makes no sense.
    Never,
    /// It stays; the server may be back later.
    NotYet,
}

impl SpoolSender {
    /// Sends files of `dir` as `options` say, but for the end of tasks, which the files know.
    pub fn new(
        dir: SpoolDir,
        options: PushOptions,
        observer: impl Fn(SpoolNotice) + Send + Sync + 'static,
    ) -> Self {
        Self { dir, options, observer: Arc::new(observer), totals: Arc::default() }
    }

    /// What was sent so far.
    pub fn totals(&self) -> SpoolTotals {
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends until no file is left that may be sent. What was not sent whole when this is dropped
    /// stays.
    pub async fn run(self) {
        let mut files = match self.list().await {
            Ok(listing) => {
                listing.foreign.into_iter().for_each(|path| self.tell(SpoolNotice::Foreign(path)));
                listing.spooled
            }
            Err(error) => return self.tell(SpoolNotice::Unusable(error)),
        };
        self.count(|totals| totals.waiting = files.len() as u64);
        loop {
            let mut left = Vec::new();
            for path in files {
                match self.send(&path).await {
                    Sent::NotYet => left.push(path),
                    Sent::Wholly | Sent::Never => self.count(|totals| totals.waiting -= 1),
                }
            }
            if left.is_empty() {
                return;
            }
            files = left;
            sleep(PAUSE).await;
        }
    }

    async fn list(&self) -> Result<Listing, SpoolError> {
        let dir = self.dir.clone();
        blocking(move || dir.list()).await
    }

    async fn send(&self, path: &Path) -> Sent {
        match self.try_send(path).await {
            Ok(sent) => sent,
            Err(error) => {
                self.tell(SpoolNotice::Unusable(error));
                Sent::Never
            }
        }
    }

    async fn try_send(&self, path: &Path) -> Result<Sent, SpoolError> {
        let (dir, name) = (self.dir.clone(), path.to_owned());
        // Whoever has it now sends it, or has just begun to write it.
        let Some(file) = blocking(move || SpoolFile::open(&dir, &name)).await? else {
            return Ok(Sent::Never);
        };
        let file = Arc::new(file);
        match self.push(&file).await? {
            Ok(report) => {
                self.tell_of_parts(path, &file.content);
                self.count(|totals| {
                    totals.files += 1;
                    totals.lines += report.progress.acknowledged;
                    totals.dropped += report.progress.dropped;
                });
                let dir = self.dir.clone();
                let file = Arc::into_inner(file).expect("its reader has ended");
                blocking(move || file.remove(&dir)).await?;
                Ok(Sent::Wholly)
            }
            Err(Error::GaveUp { .. } | Error::Interrupted) => Ok(Sent::NotYet),
            Err(error) => {
                let reason = error.to_string();
                self.tell(SpoolNotice::Refused { path: path.to_owned(), reason });
                Ok(Sent::Never)
            }
        }
    }

    /// Pushes a file to its end; the outer error is that of reading it.
    async fn push(&self, file: &Arc<SpoolFile>) -> Result<Result<Report, Error>, SpoolError> {
        let Some((origin, producer)) = &file.content.origin else {
            return Ok(Ok(Report::default()));
        };
        let options = PushOptions { ends_task: origin.ends_task, ..self.options.clone() };
        let resumed = resume(options, producer.clone(), origin.resumption(), self.push_observer());
        let (pusher, driver) = match resumed {
            Ok(pair) => pair,
            Err(error) => return Ok(Err(error)),
        };
        let end = file.content.closing.clone().and_then(Closing::end);
        let (sender, lines) = mpsc::channel(READ_AHEAD);
        let read = file.clone();
        let reading = blocking(move || read.each_line(|line| sender.blocking_send(line).is_ok()));
        let feeding = async {
            let ((), read) = tokio::join!(feed(&pusher, lines), reading);
            // The driver waits for an end, also where not all could be read.
            pusher.finish_at(end.filter(|_| read.is_ok()));
            read
        };
        let (result, read) = tokio::join!(driver.run(), feeding);
        read?;
        Ok(result)
    }

    fn push_observer(&self) -> Observer {
        let observer = self.observer.clone();
        Box::new(move |notice| {
            // Whoever pushes beside this learns as much of the server.
            if !matches!(notice, Notice::Disconnected { .. }) {
                observer(SpoolNotice::Push(notice));
            }
        })
    }

    fn tell_of_parts(&self, path: &Path, content: &SpoolContent) {
        let path = path.to_owned();
        match content.closing.as_ref().map(|closing| closing.lost) {
            None => self.tell(SpoolNotice::CutOff { path, lines: content.lines }),
            Some(0) => {}
            Some(lost) => self.tell(SpoolNotice::NotWhole { path, lost }),
        }
    }

    fn tell(&self, notice: SpoolNotice) {
        (self.observer)(notice);
    }

    fn count(&self, change: impl FnOnce(&mut SpoolTotals)) {
        change(&mut self.totals.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Pushes `lines` until they or pushing has ended.
async fn feed(pusher: &Pusher, mut lines: mpsc::Receiver<SpooledLine>) {
    while let Some(line) = lines.recv().await {
        pusher.skip_to(line.seq);
        if pusher.push(line.into_line()).await.is_err() {
            return;
        }
    }
}

/// Runs what waits for a disk where it holds nobody up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SpoolError> + Send + 'static,
) -> Result<T, SpoolError> {
    tokio::task::spawn_blocking(work).await.expect("it does not panic and is never aborted")
}
