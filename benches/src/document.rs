//! `docs/benchmarks.md`: a head and one section per case, which a run of that case replaces.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::cases::CASES;
use crate::report::{Section, machine, table};
use crate::rounds::Effort;

const SECTION_MARK: &str = "\n## ";

/// One case's results as Markdown, with their time and commit.
pub fn section(name: &str, what: &str, found: &Result<Section>, effort: Effort) -> String {
    let body = match found {
        Ok(section) if section.rows.is_empty() => section.text.clone(),
        Ok(section) => format!("{}\n{}", table(&section.rows), section.text),
        Err(error) => format!("Failed: {error:#}\n"),
    };
    let (rounds, seconds) = (effort.rounds, effort.round.as_secs_f64());
    let now = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC");
    format!(
        "## {name}: {what}\n\n{}\n\n{rounds} rounds of {seconds:.1} s, {now}, commit {}.\n",
        body.trim_end(),
        commit()
    )
}

/// The commit that is checked out.
fn commit() -> String {
    let output = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "unknown".into())
}

/// Replaces the section of the case `name` in the file, or adds it.
///
/// # Errors
/// When the file cannot be read or written.
pub fn update(path: &Path, name: &str, section: &str) -> Result<()> {
    let old = if path.exists() { fs::read_to_string(path)? } else { String::new() };
    let mut text = head();
    for case in CASES {
        let new = (case.name == name).then_some(section);
        if let Some(section) = new.or_else(|| existing(&old, case.name)) {
            text.push('\n');
            text.push_str(section.trim_end());
            text.push('\n');
        }
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// A case's section in the document.
fn existing<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let start = document.find(&format!("{SECTION_MARK}{name}: "))? + 1;
    let end = document[start..].find(SECTION_MARK).map_or(document.len(), |length| start + length);
    Some(&document[start..end])
}

fn head() -> String {
    format!(
        "# Benchmarks\n\n\
         Written by `make bench`; do not edit. On {}.\n\
         [hot-path.md](hot-path.md) tells where the time goes and what was tried.\n\n\
         Variants are interleaved within a round, each on a fresh server process. Figures are\n\
         median [min–max] over the rounds; a ratio is one of medians. CPU is user and system time\n\
         of the server process alone, in µs per entry taken or event delivered. All traffic is on\n\
         loopback, and the load runs on the same cores: compare ratios, not absolute figures.\n",
        machine()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_the_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("docs/benchmarks.md");
        update(&path, "ingest", "## ingest: a\n\nold\n").unwrap();
        update(&path, "idle", "## idle: b\n\nstays\n").unwrap();
        update(&path, "ingest", "## ingest: a\n\nnew\n").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("## ingest: a\n\nnew\n\n## idle: b\n\nstays\n"), "{text}");
    }
}
