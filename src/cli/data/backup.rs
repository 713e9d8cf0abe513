//! `backup`: copies a data directory, also while a server writes to it.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{EXIT_DAMAGED, count, offline, size};
use crate::store::offline::{BackupReport, backup};

/// Copy a data directory, even while a server writes to it
///
/// The copy has everything that was acknowledged before the command began. It is read back before the
/// command ends. Bring it back with `restore`; a server does not start on a backup.
///
///   otto-handler backup /var/lib/otto --to /backup/otto-2026-11-27
///
/// Exit code: 0 when the copy is whole, 1 when it is whole but the data directory was damaged already,
/// 2 when there is no copy.
#[derive(Debug, Clone, clap::Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct Args {
    /// The data directory
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The directory to make; it must not exist, or be empty
    #[arg(long, value_name = "NEW")]
    to: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// None: what keeps it from a copy is exit code 2.
pub(in crate::cli) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let progress = super::every_few_seconds(|copied, total| {
        eprintln!("copied {} of {}", size(copied), size(total));
    });
    let report = match offline("backup", || backup(&args.dir, &args.to, &progress)) {
        Ok(report) => report,
        Err(code) => return Ok(code),
    };
    let BackupReport { segments, bytes, entries, end, damaged } = report;
    eprintln!(
        "{}: {}, {}, {}, up to offset {end}",
        args.to.display(),
        count(segments as u64, "segment"),
        count(entries, "entry"),
        size(bytes),
    );
    for file in &damaged {
        eprintln!("{file} was damaged already and is copied as it is; `inspect` says where");
    }
    Ok(if damaged.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_DAMAGED) })
}
