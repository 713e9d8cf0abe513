//! The tools for a data directory: `inspect`, `backup`, `restore`, `repair`.

mod copying;
mod damage;
mod looking;
mod refusals;
mod repairing;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::support::{Process, Producer, connect, entry, large_lines, run};

/// Small segments, so that a few lines make several.
const SMALL_SEGMENTS: &[&str] = &["--segment-bytes=1MiB"];

/// A server of small segments that keeps the newest two, and a producer.
async fn retaining_server(data: &Path) -> (Process, Producer) {
    let flags = [SMALL_SEGMENTS, &["--retention-bytes=2MiB"]].concat();
    let server = Process::start(data, &flags, None).await;
    let producer = Producer::open(&mut connect(&server.grpc_url()).await).await;
    (server, producer)
}

/// A data directory of four segments, closed, with 35 lines of task `t` and one of task `other`.
async fn closed_directory() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Process::start(&data, SMALL_SEGMENTS, None).await;
    let mut producer = Producer::open(&mut connect(&server.grpc_url()).await).await;
    producer.push_all(1, large_lines(1..36)).await;
    producer.push_all(36, vec![entry("other", "hello")]).await;
    assert_eq!(server.terminate().await, Some(0));
    assert!(segments(&data).len() >= 4, "{:?}", segments(&data));
    (dir, data)
}

/// The segments' files, oldest first.
fn segments(data: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|it| it == "seg")).collect();
    files.sort();
    files
}

/// Flips a bit in the middle of the file.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// Every file of a directory with its bytes.
fn content(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.map(|path| (path.clone(), fs::read(path).unwrap_or_default())).collect();
    files.sort();
    files
}

/// What a command did: its exit code, standard output, standard error.
struct Done {
    code: i32,
    out: String,
    err: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().expect("it was not killed");
        Self { code, out: text(output.stdout), err: text(output.stderr) }
    }
}

async fn inspect(data: &Path) -> (i32, Value) {
    let done: Done = run(&["inspect", "--json", data.to_str().unwrap()], b"").await.into();
    let found = serde_json::from_str(&done.out).unwrap_or_else(|_| panic!("{}", done.err));
    (done.code, found)
}

/// `backup`, `restore` or `repair`.
async fn copy(command: &str, from: &Path, to: &Path) -> Done {
    let arguments = [command, from.to_str().unwrap(), "--to", to.to_str().unwrap()];
    run(&arguments, b"").await.into()
}

/// Adds up a field over all segments.
fn total(found: &Value, field: &str) -> u64 {
    let segments = found["segments"].as_array().unwrap().iter();
    segments.map(|segment| segment[field].as_u64().unwrap()).sum()
}
