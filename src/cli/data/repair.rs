//! `repair`: copies what is sound in a damaged data directory.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{count, offline};
use crate::store::offline::{RepairReport, repair};

/// Copy what is sound in a damaged data directory to a new one
///
/// A server serves a damaged directory too; this makes one without the damage, on another disk perhaps.
/// Lines keep their numbers, event ids stay valid, and what is lost is still told by gaps. The damaged
/// directory is not changed.
///
///   otto-handler repair /var/lib/otto --to /var/lib/otto-repaired
///
/// Exit code: 0 when everything sound is copied, 2 when nothing is.
#[derive(Debug, Clone, clap::Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct Args {
    /// The damaged data directory
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The data directory to make; it must not exist, or be empty
    #[arg(long, value_name = "NEW")]
    to: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// None: what keeps it from a copy is exit code 2.
pub(in crate::cli) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let progress = super::every_few_seconds(|done, total| {
        eprintln!("copied {done} of {total} segments");
    });
    let RepairReport { segments, entries, lost } =
        match offline("repair", || repair(&args.dir, &args.to, &progress)) {
            Ok(report) => report,
            Err(code) => return Ok(code),
        };
    let (segments, entries) = (count(segments as u64, "segment"), count(entries, "entry"));
    eprintln!("{}: {segments}, {entries}", args.to.display());
    for range in &lost {
        eprintln!("offsets {} to {} are lost", range.start, range.end - 1);
    }
    if lost.is_empty() {
        eprintln!("nothing is lost");
    }
    Ok(ExitCode::SUCCESS)
}
