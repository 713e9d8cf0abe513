//! What is written is read, wherever a file was cut off, and the bound holds.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::directory::SpoolDir;
use super::file::{SpoolContent, SpoolFile};
use super::record::{Closing, SpoolRecord, SpooledLine};
use super::writer::{SpoolReport, SpoolWriter};
use super::{MIN_BYTES, SpoolError};
use crate::client::push::{Line, Producer, Resumption, TimedStatus, Undelivered, WorkerEnd};
use crate::domain::{TaskId, WorkerId, WorkerState};

fn line(message: &str) -> Line {
    let timestamp = "2026-11-28T11:00:00.000001Z".into();
    Line { timestamp, source: Some("stderr".into()), message: message.into() }
}

fn status(state: WorkerState) -> TimedStatus {
    let status = WorkerEnd { state, reason: "exit code 3".into(), exit_code: Some(3) };
    TimedStatus { status, time: "2026-11-28T11:00:01.000000Z".into() }
}

/// Lines 5 and 7 of a session that goes on with 8.
fn undelivered() -> Undelivered {
    Undelivered {
        producer: Producer {
            task: TaskId::new("t").unwrap(),
            worker: WorkerId::new("w").unwrap(),
            level: "INFO".into(),
            source: "stdout".into(),
        },
        resumption: Resumption {
            session: "0123456789abcdef".into(),
            next_seq: 8,
            first_status: Some(status(WorkerState::Running)),
        },
        lines: vec![(5, line("five")), (7, line("seven"))],
    }
}

fn spool(limit_bytes: u64) -> (tempfile::TempDir, SpoolDir) {
    let place = tempfile::tempdir().unwrap();
    let dir = SpoolDir::open(place.path(), limit_bytes).unwrap();
    (place, dir)
}

fn write(dir: &SpoolDir, late: &[&str]) -> SpoolReport {
    let mut writer = SpoolWriter::create(dir, undelivered(), true).unwrap();
    writer.append_late(late.iter().map(|message| line(message)).collect());
    writer.finish(Some(&status(WorkerState::Failed)))
}

fn read(dir: &SpoolDir, path: &Path) -> Result<(SpoolContent, Vec<(u64, Line)>), SpoolError> {
    let file = SpoolFile::open(dir, path)?.expect("nobody else has it");
    let mut lines = Vec::new();
    file.each_line(|line| {
        lines.push((line.seq, line.into_line()));
        true
    })?;
    Ok((file.content, lines))
}

fn used(place: &Path) -> u64 {
    fs::read_dir(place).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn a_file_gives_back_whose_lines_they_are_with_numbers_times_sources_and_the_end() {
    let (_place, dir) = spool(MIN_BYTES);
    let report = write(&dir, &["eight", ""]);
    assert_eq!((report.lines, report.lost, report.has_end), (4, 0, true));
    let (content, lines) = read(&dir, &report.path.unwrap()).unwrap();
    let expected = [(5, "five"), (7, "seven"), (8, "eight"), (9, "")];
    assert_eq!(lines, expected.map(|(seq, message)| (seq, line(message))));
    assert!(content.closing.is_some());
    let (origin, producer) = content.origin.unwrap();
    assert_eq!(producer, undelivered().producer);
    let resumption = Resumption { next_seq: 1, ..undelivered().resumption };
    assert_eq!((origin.resumption(), origin.ends_task), (resumption, true));
    assert_eq!(content.closing.and_then(Closing::end), Some(status(WorkerState::Failed)));
}

#[test]
fn of_what_does_not_fit_the_beginning_and_the_newest_lines_are_kept_below_the_bound() {
    let (place, dir) = spool(MIN_BYTES);
    let messages: Vec<_> = (8..=2000).map(|seq| format!("{seq} {}", "x".repeat(90))).collect();
    let late: Vec<_> = messages.iter().map(String::as_str).collect();
    let report = write(&dir, &late);
    assert!(used(place.path()) <= MIN_BYTES, "{} bytes", used(place.path()));
    assert_eq!(report.lines + report.lost, 1995);
    assert!(report.lost > 1000 && report.has_end && report.failure.is_none(), "{report:?}");
    let (content, lines) = read(&dir, &report.path.unwrap()).unwrap();
    assert_eq!(content.closing.unwrap().lost, report.lost);
    let holes: Vec<_> = lines.windows(2).filter(|pair| pair[1].0 > pair[0].0 + 1).collect();
    assert_eq!(holes.len(), 2, "from 5 to 7, and what did not fit");
    assert_eq!(holes[1][1].0 - holes[1][0].0 - 1, report.lost);
    assert_eq!(lines.last().unwrap().0, 2000);
    // All files together are bounded.
    let full = SpoolWriter::create(&dir, undelivered(), false).unwrap_err();
    assert!(full.to_string().contains("of 65536"), "{full}");
}

#[test]
fn a_file_is_nobody_elses_while_it_is_written_or_sent_and_none_once_it_is_gone() {
    let (place, dir) = spool(MIN_BYTES);
    let writer = SpoolWriter::create(&dir, undelivered(), true).unwrap();
    let path = dir.list().unwrap().spooled.remove(0);
    assert!(SpoolFile::open(&dir, &path).unwrap().is_none(), "it is being written");
    writer.finish(None);
    let file = SpoolFile::open(&dir, &path).unwrap().unwrap();
    assert!(SpoolFile::open(&dir, &path).unwrap().is_none(), "it is being sent");
    file.remove(&dir).unwrap();
    assert!(SpoolFile::open(&dir, &path).unwrap().is_none(), "it is gone");
    assert_eq!(used(place.path()), 0);
}

#[test]
fn a_spool_that_cannot_be_used_is_named_with_the_rule() {
    let place = tempfile::tempdir().unwrap();
    let said = |path: &Path, bytes| SpoolDir::open(path, bytes).unwrap_err().to_string();
    let (missing, file) = (place.path().join("missing"), place.path().join("file"));
    fs::write(&file, "x").unwrap();
    assert!(
        said(&missing, MIN_BYTES)
            .ends_with("missing\": there is no such directory; it must be there")
    );
    assert!(said(&file, MIN_BYTES).ends_with("file\": it must be a directory"));
    assert!(said(Path::new("/proc"), MIN_BYTES).contains("\"/proc\": it must be writable: "));
    assert_eq!(said(place.path(), 9), "the spool's bound is 9 bytes, the least is 65536");
}

#[test]
fn what_stands_out_of_order_or_behind_the_end_is_damage() {
    let (_place, dir) = spool(MIN_BYTES);
    let path = write(&dir, &[]).path.unwrap();
    let whole = fs::read(&path).unwrap();
    let line = SpoolRecord::Line(SpooledLine::of(9, line("x"))).encode();
    fs::write(&path, [&whole[..], &line].concat()).unwrap();
    let damaged = read(&dir, &path).unwrap_err();
    let expected = format!("is damaged at byte {}: something stands behind its end", whole.len());
    assert!(damaged.to_string().ends_with(&expected), "{damaged}");
    fs::write(&path, "something else").unwrap();
    let foreign = read(&dir, &path).unwrap_err().to_string();
    assert!(foreign.ends_with("is damaged at byte 0: it does not begin as a spool file does"));
}

/// Messages of the lines of a file that was written and then changed.
fn read_changed(change: impl FnOnce(&mut Vec<u8>)) -> Result<(bool, Vec<String>), SpoolError> {
    let (_place, dir) = spool(MIN_BYTES);
    let path = write(&dir, &["eight", "nine", "ten"]).path.unwrap();
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(&path, bytes).unwrap();
    let (content, lines) = read(&dir, &path)?;
    assert_eq!(content.lines, lines.len() as u64);
    Ok((content.closing.is_none(), lines.into_iter().map(|(_, line)| line.message).collect()))
}

const MESSAGES: [&str; 5] = ["five", "seven", "eight", "nine", "ten"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_file_that_was_cut_anywhere_is_read_as_far_as_it_is_whole(
        cut in any::<prop::sample::Index>(),
        zeros in 0..100_usize,
    ) {
        let (is_cut, lines) = read_changed(|bytes| {
            bytes.truncate(cut.index(bytes.len()));
        }).unwrap();
        prop_assert!(is_cut);
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        prop_assert!(MESSAGES.starts_with(&lines));
        // Some file systems make a file longer before they write what is in it.
        let whole = read_changed(|bytes| bytes.extend(vec![0; zeros])).unwrap();
        prop_assert_eq!(whole, (false, MESSAGES.map(str::to_owned).to_vec()));
    }

    #[test]
    fn a_bit_that_flips_is_damage_and_in_the_last_record_a_cut(
        at in any::<prop::sample::Index>(),
        bit in 0..8_u32,
    ) {
        let read = read_changed(|bytes| {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        });
        if let Ok((is_cut, lines)) = read {
            prop_assert!(is_cut, "only the last record may be there in part");
            prop_assert_eq!(lines, MESSAGES);
        }
    }
}
