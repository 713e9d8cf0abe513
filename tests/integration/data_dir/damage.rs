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
async fn told(server: &Process) -> (BTreeSet<usize>, bool) {
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

#[tokio::test]
async fn a_damaged_directory_is_served_and_every_reader_is_told_what_is_gone() {
    let (_dir, data) = closed_directory().await;
    let sound = content(&data);
    let files = segments(&data);
    let all: BTreeSet<_> = (1..=35).collect();
    let lost = |path: &Path| fs::remove_file(path).unwrap();
    let cut = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() - 20]).unwrap();
    };
    type Case<'a> = (&'a str, Box<dyn Fn() + 'a>, bool);
    let cases: [Case<'_>; 6] = [
        ("a flip in a sealed segment", Box::new(|| flip(&files[1])), true),
        ("a flip in the last segment", Box::new(|| flip(files.last().unwrap())), true),
        ("a missing segment", Box::new(|| lost(&files[1])), true),
        ("a cut footer", Box::new(|| cut(&files[1])), false),
        (
            "a cut footer without the index",
            Box::new(|| {
                cut(&files[1]);
                lost(&data.join("TASKS"))
            }),
            false,
        ),
        ("a missing META", Box::new(|| lost(&data.join("META"))), false),
    ];
    for (what, damage, takes_lines) in cases {
        for (path, bytes) in &sound {
            fs::write(path, bytes).unwrap();
        }
        damage();
        let server = Process::start(&data, SMALL_SEGMENTS, None).await;
        let (lines, is_told) = told(&server).await;
        assert_eq!((lines != all, is_told), (takes_lines, takes_lines), "{what}: {lines:?}");
        assert!(lines.is_subset(&all) && lines.len() >= 20, "{what}: {lines:?}");
        let health = json(&server.api("/health")).await;
        let is_degraded = health["status"] == "degraded";
        let places = health["store"]["damagedPlaces"].as_u64().unwrap();
        assert_eq!((is_degraded, places > 0), (what != "a missing META", is_degraded), "{health}");
        let mut producer = Producer::open(&mut connect(&server.grpc_url()).await).await;
        producer.push_all(1, vec![entry("t", "36 after")]).await;
        assert!(told(&server).await.0.contains(&36), "{what}");
        assert_eq!(server.terminate().await, Some(0), "{what}");
    }
}
