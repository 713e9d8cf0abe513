//! `restore`: makes a data directory from a backup.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{EXIT_DAMAGED, count, offline};
use crate::store::offline::{RestoreReport, restore};

/// Make a data directory from a backup
///
/// The new directory is a store of its own. Clients that come back with an event id of the old one start
/// again from the beginning: since the backup, the old one has given the same numbers to other lines.
///
///   otto-handler restore /backup/otto-2026-11-27 --to /var/lib/otto
///
/// Exit code: 0 when everything is restored, 1 when it is but the backed up directory was damaged
/// already, 2 when nothing is restored.
#[derive(Debug, Clone, clap::Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct Args {
    /// What `backup` made
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// The data directory to make; it must not exist, or be empty
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// None: what keeps it from restoring is exit code 2.
pub(in crate::cli) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let progress = super::every_few_seconds(|done, total| {
        eprintln!("restored {done} of {total} segments");
    });
    let report = match offline("restore", || restore(&args.backup, &args.to, &progress)) {
        Ok(report) => report,
        Err(code) => return Ok(code),
    };
    let RestoreReport { segments, entries, epoch, is_sound } = report;
    eprintln!(
        "{}: store {epoch}, {}, {}",
        args.to.display(),
        count(segments as u64, "segment"),
        count(entries, "entry"),
    );
    if !is_sound {
        eprintln!(
            "what was damaged when it was backed up is damaged here too; `inspect` says where"
        );
    }
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::from(EXIT_DAMAGED) })
}
