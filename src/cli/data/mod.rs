//! The commands that work on a data directory without a server: `inspect`, `backup`, `restore`,
//! `repair`.

mod backup;
mod inspect;
mod repair;
mod restore;

use std::cell::Cell;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytesize::ByteSize;

pub(super) use backup::{Args as BackupArgs, run as backup};
pub(super) use inspect::{Args as InspectArgs, run as inspect};
pub(super) use repair::{Args as RepairArgs, run as repair};
pub(super) use restore::{Args as RestoreArgs, run as restore};

use crate::cli::words::count;
use crate::server::Descriptors;
use crate::store::offline::OfflineError;

/// The exit code for: there is damage.
const EXIT_DAMAGED: u8 = 1;
/// The exit code for: it could not be done, and nothing was changed.
const EXIT_FAILED: u8 = 2;

/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// Tells progress, but not more often than every few seconds.
fn every_few_seconds<T>(tell: impl Fn(T, T)) -> impl Fn(T, T) {
    let told = Cell::new(Instant::now());
    move |done, total| {
        if told.get().elapsed() >= PROGRESS_EVERY {
            tell(done, total);
            told.set(Instant::now());
        }
    }
}

/// Does the work of `command`; says why where nothing was done, which has an exit code.
fn offline<T>(
    command: &str,
    work: impl FnOnce() -> Result<T, OfflineError>,
) -> Result<T, ExitCode> {
    // All segments are open at once. Where the limit stays as it is, opening too many says so.
    let _limit = Descriptors::raise();
    work().map_err(|error| {
        eprintln!("otto-handler {command}: {error}");
        ExitCode::from(EXIT_FAILED)
    })
}

/// Prints `text`, also to a reader that goes away before its end.
fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn size(bytes: u64) -> String {
    ByteSize(bytes).to_string()
}
