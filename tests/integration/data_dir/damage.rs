//! A server on a damaged directory: it serves, and readers are told what is gone.

use std::collections::BTreeSet;
use std::fs;

use super::*;
use crate::support::{Reader, json, ndjson, text};

/// The numbers that stand first in lines.
fn number(message: &str) -> Option<usize> {
    message.split(' ').next()?.parse().ok()
}

/// What readers of task `t` get: the lines' numbers, and whether damage is told; the same in every way.
pub(super) async fn told(server: &Process) -> (BTreeSet<usize>, bool) {
    let mut reader = Reader::open(&server.api("/stream/t?follow=false")).await;
    let (mut lines, mut is_damaged) = (BTreeSet::new(), false);
    while let Some(event) = reader.next().await {
        let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        match event.event.as_str() {
            "log" => assert!(lines.insert(number(data["message"].as_str().unwrap()).unwrap())),
            "gap" => is_damaged |= data["reason"] == "damage",
            "error" => panic!("{}", event.data),
            _ => {}
        }
    }
    let objects = ndjson(|path| server.api(path), "t").await;
    let kept = objects.iter().filter_map(|line| number(line["message"].as_str()?));
    assert_eq!(kept.collect::<BTreeSet<_>>(), lines);
    assert_eq!(objects.iter().any(|line| line["reason"] == "damage"), is_damaged);
    let plain = text(|path| server.api(path), "t").await;
    assert_eq!(plain.lines().filter_map(number).collect::<BTreeSet<_>>(), lines);
    assert_eq!(plain.contains("missing here: damage ---"), is_damaged, "{}", plain.len());
    (lines, is_damaged)
}

/// A directory with some damage.
pub(super) struct DamagedDirectory {
    pub(super) what: &'static str,
    pub(super) dir: tempfile::TempDir,
    pub(super) data: PathBuf,
    /// Whether lines are lost by it.
    pub(super) takes_lines: bool,
}

fn cut(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() - 20]).unwrap();
}

/// One directory for each kind of damage.
pub(super) async fn damaged_directories() -> Vec<DamagedDirectory> {
    let (_dir, sound) = closed_directory().await;
    let lost = |path: &Path| fs::remove_file(path).unwrap();
    type Damage = fn(&Path, &[PathBuf], &dyn Fn(&Path));
    let cases: [(_, Damage, _); 6] = [
        ("a flip in a sealed segment", |_, files, _| flip(&files[1]), true),
        ("a flip in the last segment", |_, files, _| flip(files.last().unwrap()), true),
        ("a missing segment", |_, files, lost| lost(&files[1]), true),
        ("a cut footer", |_, files, _| cut(&files[1]), false),
        (
            "a cut footer without the index",
            |data, files, lost| {
                cut(&files[1]);
                lost(&data.join("TASKS"));
            },
            false,
        ),
        ("a missing META", |data, _, lost| lost(&data.join("META")), false),
    ];
    let damaged = cases.map(|(what, damage, takes_lines)| {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        for (path, bytes) in content(&sound) {
            fs::write(data.join(path.file_name().unwrap()), bytes).unwrap();
        }
        damage(&data, &segments(&data), &lost);
        DamagedDirectory { what, dir, data, takes_lines }
    });
    damaged.into()
}

#[tokio::test]
async fn a_damaged_directory_is_served_and_every_reader_is_told_what_is_gone() {
    let all: BTreeSet<_> = (1..=35).collect();
    for DamagedDirectory { what, data, takes_lines, .. } in &damaged_directories().await {
        let server = Process::start(data, SMALL_SEGMENTS, None).await;
        let (lines, is_told) = told(&server).await;
        assert_eq!((lines != all, is_told), (*takes_lines, *takes_lines), "{what}: {lines:?}");
        assert!(lines.is_subset(&all) && lines.len() >= 20, "{what}: {lines:?}");
        let health = json(&server.api("/health")).await;
        let is_degraded = health["status"] == "degraded";
        let places = health["store"]["damagedPlaces"].as_u64().unwrap();
        assert_eq!((is_degraded, places > 0), (*what != "a missing META", is_degraded), "{health}");
        let mut producer = Producer::open(&mut connect(&server.grpc_url()).await).await;
        producer.push_all(1, vec![entry("t", "36 after")]).await;
        assert!(told(&server).await.0.contains(&36), "{what}");
        assert_eq!(server.terminate().await, Some(0), "{what}");
    }
}
