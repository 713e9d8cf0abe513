//! `inspect` says what is there and what is wrong, and changes nothing.

use std::fs;

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_sound_directory_is_told_with_its_segments_and_tasks() {
    let (_dir, data) = closed_directory().await;
    let before = content(&data);
    let (code, found) = inspect(&data).await;
    assert_eq!(code, 0, "{found}");
    assert_eq!((total(&found, "entries"), total(&found, "lines")), (36, 36));
    assert_eq!(found["tasks"]["t"]["lines"], 35);
    assert_eq!(found["tasks"]["other"]["lines"], 1);
    assert_eq!(found["in_use"], false);
    let done: Done = run(&["inspect", "--tasks", data.to_str().unwrap()], b"").await.into();
    let last = segments(&data).pop().unwrap();
    let last = last.file_name().unwrap().to_str().unwrap();
    for expected in ["everything can be read", "2 tasks, 36 entries, 36 lines", "other", last] {
        assert!(done.out.contains(expected), "{expected}: {}", done.out);
    }
    assert!(content(&data) == before, "a file was changed");
}

#[tokio::test]
async fn flipped_bits_cut_footers_and_missing_files_are_each_found_where_they_are() {
    let (_dir, data) = closed_directory().await;
    let files = segments(&data);

    let sound = fs::read(&files[1]).unwrap();
    flip(&files[1]);
    let (code, found) = inspect(&data).await;
    let damage = &found["segments"][1]["damage"];
    assert_eq!((code, damage.as_array().unwrap().len()), (1, 1), "{damage}");
    let lost = &damage[0]["offsets"];
    let lost = lost["end"].as_u64().unwrap() - lost["start"].as_u64().unwrap();
    assert_eq!(total(&found, "entries") + lost, 36, "{damage}");

    fs::write(&files[1], &sound[..sound.len() - 10]).unwrap();
    let (code, found) = inspect(&data).await;
    let what = &found["segments"][1]["damage"][0]["what"];
    assert_eq!((code, what), (1, &json!("the footer is damaged or missing")), "{found}");
    assert_eq!(total(&found, "entries"), 36, "every line is there yet");

    // Every byte of the footer counts, also those that the server reads only when it is asked.
    let trailer_at = sound.len() - 76;
    let data_end = u64::from_le_bytes(sound[trailer_at + 8..trailer_at + 16].try_into().unwrap());
    for at in (data_end as usize..sound.len()).step_by(13) {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        fs::write(&files[1], &bytes).unwrap();
        assert_eq!(inspect(&data).await.0, 1, "a flip at {at} of {}", bytes.len());
    }

    fs::remove_file(&files[1]).unwrap();
    let (code, found) = inspect(&data).await;
    let missing = &found["missing"][0];
    let gap = missing["end"].as_u64().unwrap() - missing["start"].as_u64().unwrap();
    assert_eq!((code, total(&found, "entries") + gap), (1, 36), "{found}");
    fs::write(&files[1], &sound).unwrap();

    let meta = fs::read(data.join("META")).unwrap();
    fs::write(data.join("META"), b"nonsense").unwrap();
    let done: Done = run(&["inspect", data.to_str().unwrap()], b"").await.into();
    assert_eq!(done.code, 1);
    assert!(done.out.contains("META is damaged"), "{}", done.out);
    fs::remove_file(data.join("META")).unwrap();
    let done: Done = run(&["inspect", data.to_str().unwrap()], b"").await.into();
    assert!(done.code == 1 && done.out.contains("META is missing"), "{}", done.out);
    fs::write(data.join("META"), meta).unwrap();
    assert_eq!(inspect(&data).await.0, 0);
}

#[tokio::test]
async fn the_unfinished_commit_of_a_crash_is_told_and_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Process::start(&data, &[], None).await;
    let mut producer = Producer::open(&mut connect(&server.grpc_url()).await).await;
    producer.push_all(1, large_lines(1..4)).await;
    server.kill().await;
    let file = segments(&data).remove(0);
    let whole = fs::read(&file).unwrap();
    fs::write(&file, [&whole[..], &whole[44..5000]].concat()).unwrap();
    let (code, found) = inspect(&data).await;
    assert_eq!(code, 0, "{found}");
    assert_eq!(found["segments"][0]["unfinished_bytes"], 4956);
    assert_eq!(found["tasks"]["t"]["lines"], 3);
}

#[tokio::test]
async fn a_directory_that_a_server_writes_to_can_be_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (_server, mut producer) = retaining_server(&data).await;
    let entries = producer.sender();
    let sending = tokio::spawn(async move {
        for line in large_lines(1..200) {
            entries.send(line).await.unwrap();
        }
    });
    producer.response().await;
    let mut looks = 0;
    while !sending.is_finished() {
        let (code, found) = inspect(&data).await;
        assert_eq!((code, &found["in_use"]), (0, &json!(true)), "{found}");
        looks += 1;
        producer.response().await;
    }
    assert!(looks > 0);
    sending.await.unwrap();
}
