//! The way from the actors to the judge: one channel, one thread, and the history file beside it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::judge::Judge;
use super::record::{Event, Record};

/// How many records may wait for the file.
const WAITING_RECORDS: usize = 4096;

/// What an actor records with. Clones record for the same history.
#[derive(Debug, Clone)]
pub(super) struct Recorder {
    records: mpsc::Sender<Record>,
    actor: Arc<str>,
    begun: Instant,
}

impl Recorder {
    /// The same history under another name.
    pub(super) fn named(&self, actor: impl Into<Arc<str>>) -> Self {
        Self { actor: actor.into(), ..self.clone() }
    }

    /// Records that something happened now; waits while the file is behind.
    pub(super) async fn record(&self, event: Event) {
        let time = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let record = Record { time, actor: self.actor.to_string(), event };
        // It fails only after the writing thread has failed, and its result says why.
        self.records.send(record).await.ok();
    }

    /// Records something that changes no verdict.
    pub(super) async fn note(&self, what: impl Into<String>) {
        self.record(Event::Note { what: what.into() }).await;
    }

    /// Records a violation that the actor found by itself.
    pub(super) async fn violated(&self, what: impl Into<String>) {
        self.record(Event::Violated { what: what.into() }).await;
    }
}

/// The thread that takes records; ends when every recorder is gone.
pub(super) type Taking = JoinHandle<io::Result<Judge>>;

/// Begins a history, in `file` too where there is one.
///
/// # Errors
/// When the file cannot be made.
pub(super) fn begin(file: Option<&Path>) -> io::Result<(Recorder, Taking)> {
    let mut out =
        file.map(|path| File::options().create(true).append(true).open(path)).transpose()?;
    let mut out = out.take().map(BufWriter::new);
    let (records, mut taken) = mpsc::channel(WAITING_RECORDS);
    let taking = tokio::task::spawn_blocking(move || {
        let mut judge = Judge::default();
        while let Some(record) = taken.blocking_recv() {
            if let Some(out) = &mut out {
                write_record(out, &record)?;
            }
            judge.take(&record);
        }
        out.map_or(Ok(()), |mut out| out.flush())?;
        Ok(judge)
    });
    Ok((Recorder { records, actor: "run".into(), begun: Instant::now() }, taking))
}

fn write_record(out: &mut impl Write, record: &Record) -> io::Result<()> {
    serde_json::to_writer(&mut *out, record)?;
    out.write_all(b"\n")
}

/// Judges a history file anew, each run in it by itself.
///
/// # Errors
/// When the file cannot be read, or a line is not a record.
pub fn replay(path: &Path) -> io::Result<Vec<Judge>> {
    let mut judges = Vec::new();
    for (turn, line) in BufReader::new(File::open(path)?).lines().enumerate() {
        let record: Record = serde_json::from_str(&line?).map_err(|error| {
            io::Error::other(format!("line {} is not a record: {error}", turn + 1))
        })?;
        if judges.is_empty() || matches!(record.event, Event::Plan { .. }) {
            judges.push(Judge::default());
        }
        if let Some(judge) = judges.last_mut() {
            judge.take(&record);
        }
    }
    Ok(judges)
}
