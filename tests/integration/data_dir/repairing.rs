//! `repair` makes a sound directory of what is sound in a damaged one.

use std::fs;

use super::damage::{damaged_directories, told};
use super::*;
use crate::support::{Reader, json};

#[tokio::test]
async fn a_repaired_directory_has_everything_sound_tells_the_rest_and_is_without_damage() {
    for damaged in damaged_directories().await {
        let before = content(&damaged.data);
        let repaired = damaged.dir.path().join("repaired");
        let done = copy("repair", &damaged.data, &repaired).await;
        assert_eq!(done.code, 0, "{}: {}", damaged.what, done.err);
        assert_eq!(done.err.contains("are lost"), damaged.takes_lines, "{}", done.err);
        assert!(content(&damaged.data) == before, "{}: a file was changed", damaged.what);
        let (code, found) = inspect(&repaired).await;
        assert_eq!((code, found["missing"].as_array().unwrap().len()), (0, 0), "{found}");

        let server = Process::start(&damaged.data, SMALL_SEGMENTS, None).await;
        let expected = told(&server).await;
        let mut reader = Reader::open(&server.api("/stream/t")).await;
        let id = reader.logs(5).await.pop().unwrap().id;
        server.kill().await;
        let server = Process::start(&repaired, SMALL_SEGMENTS, None).await;
        assert_eq!(told(&server).await, expected, "{}", damaged.what);
        let mut reader = Reader::resume(&server.api("/stream/t"), &id).await;
        assert_ne!(reader.event().await.event, "reset", "{}", damaged.what);
        let health = json(&server.api("/health")).await;
        assert_eq!(health["status"], "healthy", "{}: {health}", damaged.what);
        let mut producer = Producer::open(&mut connect(&server.grpc_url()).await).await;
        producer.push_all(1, vec![entry("t", "36 after")]).await;
        assert!(told(&server).await.0.contains(&36), "{}", damaged.what);
        assert_eq!(server.terminate().await, Some(0), "{}", damaged.what);
    }
}

#[tokio::test]
async fn nothing_is_repaired_onto_something_or_out_of_nothing() {
    let (dir, data) = closed_directory().await;
    let before = content(&data);
    let done = copy("repair", &data, &data).await;
    assert!(done.code == 2 && done.err.contains("exists and is not an empty"), "{}", done.err);
    let inside = data.join("inside");
    let done = copy("repair", &data, &inside).await;
    assert!(done.code == 2 && done.err.contains("is inside"), "{}", done.err);
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let done = copy("repair", &empty, &dir.path().join("new")).await;
    assert!(done.code == 2 && done.err.contains("is not a data directory"), "{}", done.err);
    assert!(!dir.path().join("new").exists() && content(&data) == before);
}
