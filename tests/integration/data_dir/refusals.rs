//! What cannot be done is said, and nothing is changed.

use std::fs;

use super::*;

/// Fails unless `done` is a refusal that says all of `words`.
fn refused(done: &Done, words: &[&str]) {
    assert_eq!(done.code, 2, "{}{}", done.out, done.err);
    for word in words {
        assert!(done.err.contains(word), "{word:?} is not in {:?}", done.err);
    }
}

async fn inspected(path: &Path) -> Done {
    run(&["inspect", path.to_str().unwrap()], b"").await.into()
}

#[tokio::test]
async fn only_a_data_directory_of_this_format_can_be_looked_at() {
    let (dir, data) = closed_directory().await;
    refused(&inspected(&dir.path().join("typo")).await, &["typo", "No such file"]);
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    refused(&inspected(&empty).await, &["is not a data directory"]);
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0, "something was made there");
    let meta = fs::read_to_string(data.join("META")).unwrap();
    fs::write(data.join("META"), meta.replace("version 1", "version 9")).unwrap();
    refused(&inspected(&data).await, &["format version 9", "version 1"]);
    fs::write(data.join("META"), meta).unwrap();
    let newer = "otto-handler backup";
    refused(
        &copy("backup", &empty, &dir.path().join("to")).await,
        &[newer, "not a data directory"],
    );
    assert!(!dir.path().join("to").exists());
}

#[tokio::test]
async fn a_copy_goes_only_to_a_new_place_outside() {
    let (dir, data) = closed_directory().await;
    let before = content(&data);
    let copied = dir.path().join("copy");
    fs::create_dir(&copied).unwrap();
    assert_eq!(copy("backup", &data, &copied).await.code, 0, "an empty directory is taken");
    refused(&copy("backup", &data, &copied).await, &["exists and is not an empty directory"]);
    refused(&copy("restore", &copied, &data).await, &["exists and is not an empty directory"]);
    let inside = data.join("below/copy");
    refused(&copy("backup", &data, &inside).await, &["is inside"]);
    assert!(content(&data) == before, "a file was changed");
    let file = dir.path().join("file");
    fs::write(&file, b"mine").unwrap();
    refused(&copy("backup", &data, &file).await, &["exists and is not an empty directory"]);
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}

#[tokio::test]
async fn a_server_does_not_start_on_a_backup() {
    let (dir, data) = closed_directory().await;
    let copied = dir.path().join("copy");
    assert_eq!(copy("backup", &data, &copied).await.code, 0);
    let before = content(&copied);
    let arguments = ["serve", "--auth=none", "--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0"];
    let arguments = [&arguments[..], &["--data-dir", copied.to_str().unwrap()]].concat();
    let done: Done = run(&arguments, b"").await.into();
    assert_eq!(done.code, 1, "{}", done.err);
    assert!(done.err.contains("is a backup") && done.err.contains("restore"), "{}", done.err);
    assert!(content(&copied).iter().filter(|(path, _)| !path.ends_with("LOCK")).eq(&before));
}

#[tokio::test]
async fn a_damaged_or_unfinished_backup_is_not_restored() {
    let (dir, data) = closed_directory().await;
    let (copied, to) = (dir.path().join("copy"), dir.path().join("new/data"));
    assert_eq!(copy("backup", &data, &copied).await.code, 0);
    let file = segments(&copied).remove(1);
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    let sound = fs::read(&file).unwrap();
    flip(&file);
    refused(&copy("restore", &copied, &to).await, &[&name, "checksum", "nothing was restored"]);
    fs::write(&file, &sound[..1000]).unwrap();
    refused(&copy("restore", &copied, &to).await, &[&name, "it has 1000 bytes"]);
    fs::remove_file(&file).unwrap();
    refused(&copy("restore", &copied, &to).await, &[&name, "the file is missing"]);
    fs::write(&file, &sound).unwrap();
    let manifest = fs::read_to_string(copied.join("BACKUP")).unwrap();
    fs::write(copied.join("BACKUP"), &manifest[..manifest.len() / 2]).unwrap();
    refused(&copy("restore", &copied, &to).await, &["BACKUP", "it is not JSON"]);
    let newer = manifest.replace("\"version\": 1", "\"version\": 2");
    fs::write(copied.join("BACKUP"), newer).unwrap();
    refused(&copy("restore", &copied, &to).await, &["format version 2"]);
    fs::remove_file(copied.join("BACKUP")).unwrap();
    refused(&copy("restore", &copied, &to).await, &["is not a finished backup"]);
    refused(&copy("restore", &data, &to).await, &["is not a finished backup"]);
    assert!(!dir.path().join("new").exists(), "something was made");
    fs::write(copied.join("BACKUP"), manifest).unwrap();
    assert_eq!(copy("restore", &copied, &to).await.code, 0);
}
