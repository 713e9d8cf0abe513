//! `backup` copies what is committed, also under a running server; `restore` brings it back.

use serde_json::json;

use super::damage::told;
use super::*;
use crate::support::{Reader, numbers};

#[tokio::test]
async fn a_copy_of_a_running_server_has_everything_acknowledged_and_is_a_store_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (data, copied, restored) =
        (dir.path().join("data"), dir.path().join("copy"), dir.path().join("below/restored"));
    let server = Process::start(&data, SMALL_SEGMENTS, None).await;
    let mut producer = Producer::open(&mut connect(&server.grpc_url()).await).await;
    let entries = producer.sender();
    let sending = tokio::spawn(async move {
        for line in large_lines(1..300) {
            entries.send(line).await.unwrap();
        }
    });
    for _ in 0..30 {
        producer.response().await;
    }
    let done = copy("backup", &data, &copied).await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.err.contains("segments"), "{}", done.err);
    for _ in 30..299 {
        producer.response().await;
    }
    sending.await.unwrap();
    let mut reader = Reader::open(&server.api("/stream/t")).await;
    let old_id = reader.logs(10).await.pop().unwrap().id;
    assert_eq!(numbers(|path| server.api(path)).await.len(), 299, "the server never noticed");

    let done = copy("restore", &copied, &restored).await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(inspect(&restored).await.0, 0);
    let second = Process::start(&restored, SMALL_SEGMENTS, None).await;
    let kept = numbers(|path| second.api(path)).await;
    assert_eq!(kept, (1..=kept.len()).collect::<Vec<_>>());
    assert!(kept.len() >= 30, "{}", kept.len());
    let mut reader = Reader::resume(&second.api("/stream/t"), &old_id).await;
    assert_eq!(reader.event().await.event, "reset");
    let mut producer = Producer::open(&mut connect(&second.grpc_url()).await).await;
    producer.push_all(1, vec![entry("t", "1000 behind")]).await;
    assert_eq!(numbers(|path| second.api(path)).await.last(), Some(&1000));
    assert_eq!(second.terminate().await, Some(0));
    assert_eq!(inspect(&restored).await.0, 0);
}

#[tokio::test]
async fn copies_made_while_retention_deletes_are_whole() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (server, mut producer) = retaining_server(&data).await;
    let entries = producer.sender();
    let sending = tokio::spawn(async move {
        let lines = large_lines(1..60);
        for line in lines.iter().cycle() {
            if entries.send(line.clone()).await.is_err() {
                return;
            }
        }
    });
    producer.response().await;
    let reading = tokio::spawn(async move { while producer.responses.message().await.is_ok() {} });
    for round in 0..4 {
        let to = dir.path().join(format!("copy-{round}"));
        let done = copy("backup", &data, &to).await;
        assert_eq!(done.code, 0, "{}", done.err);
        let (code, found) = inspect(&to).await;
        assert_eq!((code, &found["missing"]), (0, &json!([])), "{found}");
        assert!(total(&found, "entries") > 0, "{found}");
    }
    server.kill().await;
    sending.await.unwrap();
    reading.abort();
}

#[tokio::test]
async fn damage_is_copied_as_it_is_and_told_and_what_is_sound_is_restored() {
    let (dir, data) = closed_directory().await;
    flip(&segments(&data)[1]);
    let (_, damaged) = inspect(&data).await;
    let (copied, restored) = (dir.path().join("copy"), dir.path().join("restored"));
    let done = copy("backup", &data, &copied).await;
    assert_eq!(done.code, 1, "{}", done.err);
    assert!(done.err.contains("was damaged already"), "{}", done.err);
    let done = copy("restore", &copied, &restored).await;
    assert_eq!(done.code, 1, "{}", done.err);
    let (code, found) = inspect(&restored).await;
    assert_eq!(code, 1);
    assert_eq!(found["segments"][1]["damage"], damaged["segments"][1]["damage"]);
    assert_eq!(total(&found, "entries"), total(&damaged, "entries"));
}

#[tokio::test]
async fn a_copy_of_a_repaired_directory_tells_what_was_lost_before_and_is_without_damage() {
    let (dir, data) = closed_directory().await;
    flip(&segments(&data)[1]);
    let [repaired, copied, restored] =
        ["repaired", "copy", "restored"].map(|name| dir.path().join(name));
    assert_eq!(copy("repair", &data, &repaired).await.code, 0);
    let server = Process::start(&repaired, SMALL_SEGMENTS, None).await;
    let expected = told(&server).await;
    assert!(expected.1, "a gap tells what is gone");
    for (command, from, to) in [("backup", &repaired, &copied), ("restore", &copied, &restored)] {
        let done = copy(command, from, to).await;
        assert_eq!(done.code, 0, "{command}: {}", done.err);
        let (code, found) = inspect(to).await;
        assert_eq!((code, &found["missing"]), (0, &json!([])), "{command}: {found}");
    }
    server.kill().await;
    let server = Process::start(&restored, SMALL_SEGMENTS, None).await;
    assert_eq!(told(&server).await, expected);
    server.kill().await;

    let record = |path: &Path| path.extension().is_some_and(|it| it == "damage");
    let files = content(&copied).into_iter().map(|(path, _)| path);
    fs::remove_file(files.into_iter().find(|path| record(path)).unwrap()).unwrap();
    let done = copy("restore", &copied, &dir.path().join("again")).await;
    assert!(done.code == 2 && done.err.contains("the file is missing"), "{}", done.err);
}

#[tokio::test]
async fn an_empty_store_is_copied_and_restored_too() {
    let dir = tempfile::tempdir().unwrap();
    let (data, copied, restored) =
        (dir.path().join("data"), dir.path().join("copy"), dir.path().join("restored"));
    let server = Process::start(&data, &[], None).await;
    assert_eq!(copy("backup", &data, &copied).await.code, 0);
    server.kill().await;
    assert_eq!(copy("restore", &copied, &restored).await.code, 0);
    let server = Process::start(&restored, &[], None).await;
    let mut producer = Producer::open(&mut connect(&server.grpc_url()).await).await;
    producer.push_all(1, vec![entry("t", "1 first")]).await;
    assert_eq!(numbers(|path| server.api(path)).await, [1]);
}
