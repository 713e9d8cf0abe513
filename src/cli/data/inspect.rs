//! `inspect`: says what a data directory holds, and what is damaged in it.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;

use super::{EXIT_DAMAGED, count, offline, print, size};
use crate::store::offline::{Damage, Inspection, SegmentReport, inspect};

/// Say what a data directory or a backup holds, and whether all of it can be read
///
/// Reads every byte and changes nothing; a server may have the directory open.
///
///   otto-handler inspect /var/lib/otto
///   otto-handler inspect --tasks /var/lib/otto
///   otto-handler inspect --json /var/lib/otto | jq .segments
///
/// Exit code: 0 when everything can be read, 1 when something is damaged or missing, 2 when this is no
/// data directory, is of another format version, or cannot be read.
#[derive(Debug, Clone, clap::Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct Args {
    /// The data directory, or a backup
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// List the tasks too
    #[arg(long)]
    tasks: bool,
    /// Print everything as one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// When its output cannot be written.
pub(in crate::cli) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let found = match offline("inspect", || inspect(&args.dir)) {
        Ok(found) => found,
        Err(code) => return Ok(code),
    };
    let text = if args.json {
        format!("{}\n", serde_json::to_string_pretty(&found)?)
    } else {
        text(&found, args.tasks)?
    };
    print(&text)?;
    let is_sound = found.is_sound();
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::from(EXIT_DAMAGED) })
}

fn text(found: &Inspection, with_tasks: bool) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    writeln!(out, "{}: store {}", found.path.display(), found.epoch)?;
    if found.in_use == Some(true) {
        writeln!(out, "a server has it open; its last segment may grow meanwhile")?;
    }
    segments(&mut out, &found.segments)?;
    totals(&mut out, found)?;
    if with_tasks {
        tasks(&mut out, found)?;
    }
    damage(&mut out, found)?;
    Ok(out)
}

fn segments(out: &mut String, segments: &[SegmentReport]) -> std::fmt::Result {
    let titles = ["segment", "entries", "lines", "size", "last commit", "state"];
    let [file, entries, lines, bytes, last, state] = titles;
    writeln!(out, "\n{file:24} {entries:>10} {lines:>10} {bytes:>10}  {last:20}  {state}")?;
    for segment in segments {
        let SegmentReport { file, entries, lines, bytes, last_time, .. } = segment;
        let (bytes, last, state) = (size(*bytes), time(*last_time), state_of(segment));
        writeln!(out, "{file:24} {entries:>10} {lines:>10} {bytes:>10}  {last:20}  {state}")?;
    }
    Ok(())
}

fn state_of(segment: &SegmentReport) -> String {
    let state = if segment.sealed { "sealed" } else { "active" };
    let mut state = state.to_owned();
    if segment.unfinished_bytes > 0 {
        state += &format!(", {} of an unfinished commit", size(segment.unfinished_bytes));
    }
    if !segment.damage.is_empty() {
        state += ", damaged";
    }
    state
}

fn totals(out: &mut String, found: &Inspection) -> std::fmt::Result {
    let sum = |of: fn(&SegmentReport) -> u64| found.segments.iter().map(of).sum::<u64>();
    let (segments, tasks) = (found.segments.len() as u64, found.tasks.len() as u64);
    writeln!(
        out,
        "\n{}, {}, {}, {}, {}",
        count(segments, "segment"),
        count(tasks, "task"),
        count(sum(|segment| segment.entries), "entry"),
        count(sum(|segment| segment.lines), "line"),
        size(sum(|segment| segment.bytes)),
    )
}

fn tasks(out: &mut String, found: &Inspection) -> std::fmt::Result {
    let [lines, first, last] = ["lines", "first commit", "last commit"];
    writeln!(out, "\n{lines:>10}  {first:20}  {last:20}  task")?;
    for (task, report) in &found.tasks {
        let (first, last) = (time(report.first_time), time(report.last_time));
        writeln!(out, "{:>10}  {first:20}  {last:20}  {task}", report.lines)?;
    }
    Ok(())
}

fn damage(out: &mut String, found: &Inspection) -> std::fmt::Result {
    for lost in &found.lost {
        let (start, end) = (lost.start, lost.end - 1);
        writeln!(out, "known to be lost, and told to readers: offsets {start} to {end}")?;
    }
    if found.is_sound() {
        return writeln!(out, "everything can be read");
    }
    writeln!(out, "\nDAMAGE")?;
    if let Some(problem) = &found.meta_problem {
        writeln!(out, "  {problem}")?;
    }
    for missing in &found.missing {
        let (start, end) = (missing.start, missing.end);
        writeln!(out, "  no segment has the entries with offsets {start} to {}", end - 1)?;
    }
    for segment in &found.segments {
        for Damage { position, bytes, offsets, what } in &segment.damage {
            write!(out, "  {} at byte {position}, {bytes} bytes: {what}", segment.file)?;
            match offsets {
                Some(lost) => {
                    writeln!(out, "; offsets {} to {} are lost", lost.start, lost.end - 1)?
                }
                None => writeln!(out)?,
            }
        }
    }
    Ok(())
}

fn time(ms: u64) -> String {
    let time = i64::try_from(ms).ok().filter(|ms| *ms > 0);
    let time = time.and_then(|ms| Timestamp::from_second(ms / 1000).ok());
    time.map_or_else(|| "-".to_owned(), |time| time.to_string())
}
