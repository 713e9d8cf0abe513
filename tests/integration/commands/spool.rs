//! `push --spool`: what a dead server did not take is sent by the next push.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use tempfile::{TempDir, tempdir};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;

use crate::support::{Process, binary, json, ndjson, run, within};

/// A place for a spool and a server's data.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = tempdir().unwrap();
        fs::create_dir(place.path().join("spool")).unwrap();
        Self(place)
    }

    fn spool(&self) -> String {
        self.0.path().join("spool").to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The files in the spool but for its lock.
    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.spool()).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| !path.ends_with("lock"));
        files.sort();
        files
    }

    async fn server(&self) -> Process {
        Process::start(&self.path("data"), &[], None).await
    }

    /// Runs `script` with its log going to `to`, for as long as the spool may take to notice.
    async fn push(&self, to: &str, task: &str, more: &[&str], script: &str) -> Output {
        let spool = self.spool();
        let base = ["push", "--to", to, "--task", task, "--worker", "w", "--spool", &spool];
        run(&[&base[..], more, &["--", "sh", "-c", script][..]].concat(), b"").await
    }

    /// The same with a server that is not there.
    async fn push_to_nobody(&self, task: &str, more: &[&str], script: &str) -> Output {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let hasty = ["--give-up-after", "200ms", "--window", "4KiB"];
        self.push(&to, task, &[&hasty[..], more].concat(), script).await
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn messages(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["message"].as_str().unwrap()).collect()
}

/// A task's lines, without its gaps.
async fn lines(server: &Process, task: &str) -> Vec<Value> {
    let mut lines = ndjson(|path| server.api(path), task).await;
    lines.retain(|line| line["message"].is_string());
    lines
}

async fn worker(server: &Process, task: &str) -> (Value, Value) {
    let worker = json(&server.api(&format!("/tasks/{task}"))).await["workers"][0].clone();
    (worker["state"].clone(), worker["exitCode"].clone())
}

async fn tail_code(server: &Process, task: &str) -> Option<i32> {
    let url = format!("http://{}", server.http);
    run(&["tail", "--url", &url, task], b"").await.status.code()
}

const FAILING: &str = "for i in $(seq 2000); do echo line $i; done; exit 3";

#[tokio::test]
async fn what_a_dead_server_did_not_take_is_sent_by_the_next_push_once_and_in_order() {
    let place = Place::new();
    let first = place.push_to_nobody("first", &[], FAILING).await;
    assert_eq!(first.status.code(), Some(3), "{}", said(&first));
    let expected = "2000 lines and the worker's end are spooled in ";
    assert!(said(&first).contains(expected), "{}", said(&first));
    assert!(said(&first).contains("2000 not delivered (2000 spooled)"), "{}", said(&first));
    let copy = fs::read(&place.files()[0]).unwrap();

    let server = place.server().await;
    let second = place.push(&server.grpc_url(), "second", &["--required"], "echo hello").await;
    assert_eq!(second.status.code(), Some(0), "{}", said(&second));
    let sent = "2000 lines of 1 earlier pushes were sent from the spool, 0 dropped";
    assert!(said(&second).contains(sent), "{}", said(&second));
    assert!(place.files().is_empty(), "{:?}", place.files());
    let found = lines(&server, "first").await;
    let numbers = || (1..=2000).map(|number| format!("line {number}"));
    assert_eq!(messages(&found), numbers().collect::<Vec<_>>());
    assert!(found.iter().all(|line| line["source"] == "stdout"));
    let times: Vec<_> = found.iter().map(|line| line["timestamp"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|a, b| a < b));
    let later = lines(&server, "second").await;
    assert_eq!(messages(&later), ["hello"]);
    assert!(later[0]["timestamp"].as_str().unwrap() > times[1999]);
    assert_eq!(worker(&server, "first").await, ("FAILED".into(), 3.into()));
    assert_eq!(worker(&server, "second").await, ("COMPLETED".into(), 0.into()));
    assert_eq!(json(&server.api("/tasks/first")).await["lostLines"], 0);
    assert_eq!(tail_code(&server, "first").await, Some(1));

    // As after a crash between the sending and the removing.
    fs::write(place.path("spool/again.spool"), copy).unwrap();
    let third = place.push(&server.grpc_url(), "third", &[], "true").await;
    assert!(said(&third).contains(sent), "{}", said(&third));
    assert_eq!(messages(&lines(&server, "first").await), numbers().collect::<Vec<_>>());
    assert_eq!(tail_code(&server, "first").await, Some(1));
}

#[tokio::test]
async fn a_log_of_which_the_beginning_was_kept_goes_on_in_its_session_without_a_gap() {
    let place = Place::new();
    let server = place.server().await;
    let url = format!("http://{}", server.http);
    let mut reader = binary();
    reader.args(["tail", "--url", &url, "--quiet", "--wait", "t"]);
    let mut reader = reader.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let to = server.grpc_url();
    let go_on = place.path("go-on");
    let script = format!(
        "echo one; until [ -e {} ]; do sleep 0.05; done; echo two; echo three",
        go_on.display()
    );
    let pushing = place.push(&to, "t", &["--give-up-after", "500ms"], &script);
    let outage = async {
        let mut line = String::new();
        let mut shown = BufReader::new(reader.stdout.take().unwrap());
        within("the first line", shown.read_line(&mut line)).await.unwrap();
        server.kill().await;
        reader.kill().await.unwrap();
        fs::write(&go_on, "").unwrap();
    };
    let (pushed, ()) = tokio::join!(pushing, outage);
    assert_eq!(pushed.status.code(), Some(0), "{}", said(&pushed));
    assert!(said(&pushed).contains(" and the worker's end are spooled"), "{}", said(&pushed));

    let server = place.server().await;
    let next = place.push(&server.grpc_url(), "next", &[], "true").await;
    assert!(said(&next).contains("1 earlier pushes were sent"), "{}", said(&next));
    assert_eq!(messages(&lines(&server, "t").await), ["one", "two", "three"]);
    let task = json(&server.api("/tasks/t")).await;
    assert_eq!((&task["lostLines"], &task["workers"][0]["missing"]), (&0.into(), &0.into()));
    assert_eq!(worker(&server, "t").await, ("COMPLETED".into(), 0.into()));
}

#[tokio::test]
async fn of_a_log_that_does_not_fit_beginning_and_end_are_sent_and_the_server_tells_the_rest() {
    let place = Place::new();
    let script = "for i in $(seq 3000); do echo a line of a build, number $i; done; exit 7";
    let bound = ["--spool-bytes", "64KiB", "--required"];
    let first = place.push_to_nobody("t", &bound, script).await;
    assert_eq!(first.status.code(), Some(7));
    assert!(said(&first).contains(" lines are not in the spool, and are lost"), "{}", said(&first));
    let bytes: u64 = place.files().iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!(bytes <= 64 << 10, "{bytes} bytes");
    let server = place.server().await;
    let second = place.push(&server.grpc_url(), "second", &[], "true").await;
    assert!(said(&second).contains(" more lines had not fit"), "{}", said(&second));
    let found = lines(&server, "t").await;
    assert_eq!(messages(&found)[..1], ["a line of a build, number 1"]);
    assert_eq!(messages(&found).last(), Some(&"a line of a build, number 3000"));
    let task = json(&server.api("/tasks/t")).await;
    assert_eq!(task["lostLines"].as_u64().unwrap() + found.len() as u64, 3000);
    assert_eq!(worker(&server, "t").await, ("FAILED".into(), 7.into()));
}

#[tokio::test]
async fn a_spool_that_cannot_be_used_is_named_before_anything_runs() {
    let place = Place::new();
    let file = place.path("file");
    fs::write(&file, "x").unwrap();
    let missing = place.path("missing");
    for (spool, bytes, expected) in [
        (missing.as_path(), "1MiB", "missing\": there is no such directory"),
        (file.as_path(), "1MiB", "file\": it must be a directory"),
        (Path::new("/proc"), "1MiB", "\"/proc\": it must be writable"),
        (place.0.path(), "9B", "the spool's bound is 9 bytes, the least is 65536"),
    ] {
        let spool = spool.to_str().unwrap();
        let arguments = ["push", "--task=t", "--tee", "--spool", spool, "--spool-bytes", bytes];
        let refused = run(&[&arguments[..], &["--", "echo", "ran"]].concat(), b"").await;
        assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
        assert!(said(&refused).contains(expected), "{}", said(&refused));
        assert_eq!(refused.stdout, b"");
    }
}

/// How many files `output` says were sent.
fn sent_files(output: &Output) -> u64 {
    let said = said(output);
    let Some((before, _)) = said.split_once(" earlier pushes were sent") else { return 0 };
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn two_pushes_at_once_write_files_of_their_own_and_send_each_only_once() {
    let place = Place::new();
    let (one, two) = tokio::join!(
        place.push_to_nobody("a", &[], FAILING),
        place.push_to_nobody("b", &[], FAILING)
    );
    assert_eq!((one.status.code(), two.status.code()), (Some(3), Some(3)));
    assert_eq!(place.files().len(), 2);
    let server = place.server().await;
    let to = server.grpc_url();
    let (one, two) =
        tokio::join!(place.push(&to, "c", &[], "true"), place.push(&to, "d", &[], "true"));
    let (one_said, two_said) = (said(&one), said(&two));
    assert_eq!(sent_files(&one) + sent_files(&two), 2, "{one_said}{two_said}");
    assert!(place.files().is_empty(), "{:?}", place.files());
    for task in ["a", "b"] {
        assert_eq!(lines(&server, task).await.len(), 2000);
        assert_eq!(tail_code(&server, task).await, Some(1));
    }
}

#[tokio::test]
async fn a_spooled_log_is_not_delivered_and_a_server_that_stays_away_leaves_it_there() {
    let place = Place::new();
    let required = place.push_to_nobody("t", &["--required"], "echo one").await;
    assert_eq!(required.status.code(), Some(5), "{}", said(&required));
    assert!(said(&required).contains("1 line and the worker's end are spooled"));
    let still = place.push_to_nobody("u", &[], "echo two").await;
    assert_eq!(still.status.code(), Some(0), "{}", said(&still));
    assert!(said(&still).contains("1 files in the spool could not be sent, and stay"));
    assert_eq!(place.files().len(), 2);
    let server = place.server().await;
    let next = place.push(&server.grpc_url(), "v", &["--quiet"], "true").await;
    assert_eq!((next.status.code(), said(&next).as_str()), (Some(0), ""));
    assert_eq!(messages(&lines(&server, "t").await), ["one"]);
    assert_eq!(messages(&lines(&server, "u").await), ["two"]);
}

#[tokio::test]
async fn a_cut_file_is_sent_as_far_as_it_is_whole_and_what_is_no_spool_file_is_left_alone() {
    let place = Place::new();
    place.push_to_nobody("t", &[], FAILING).await;
    let file = &place.files()[0];
    let whole = fs::read(file).unwrap();
    fs::write(file, &whole[..whole.len() / 2]).unwrap();
    let (notes, damaged) = (place.path("spool/notes.txt"), place.path("spool/x.spool"));
    fs::write(&notes, "mine").unwrap();
    let mut bytes = whole.clone();
    bytes[40] ^= 1;
    fs::write(&damaged, bytes).unwrap();

    let server = place.server().await;
    let next = place.push(&server.grpc_url(), "next", &[], "true").await;
    assert_eq!(next.status.code(), Some(0), "{}", said(&next));
    let found = lines(&server, "t").await;
    assert!(found.len() > 900 && found.len() < 1100, "{} lines", found.len());
    let cut = format!("was cut off when it was written; its {} whole lines were sent", found.len());
    for expected in
        [cut.as_str(), "notes.txt\" in the spool is no spool file", "x.spool\" is damaged at"]
    {
        assert!(said(&next).contains(expected), "{}", said(&next));
    }
    assert_eq!(place.files(), [notes, damaged]);
    // Nobody knows how it ended.
    assert_eq!(worker(&server, "t").await.0, "RUNNING");
}

#[tokio::test]
async fn a_spool_that_can_no_longer_be_written_is_told_and_the_build_goes_on() {
    let place = Place::new();
    let script = "for i in $(seq 20000); do echo a line of a build, number $i; done; exit 4";
    let mut limited = tokio::process::Command::new("sh");
    limited.kill_on_drop(true).arg("-c");
    // A limit on the size of files stands for a disk that is full.
    limited.arg("trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\"");
    limited.arg(env!("CARGO_BIN_EXE_otto-handler"));
    limited.args(["push", "--to", "http://127.0.0.1:9", "--task=t", "--worker=w", "--window=4KiB"]);
    limited.args(["--give-up-after=100ms", "--spool", &place.spool(), "--", "sh", "-c", script]);
    let output = within("the push", limited.output()).await.unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(said(&output).contains("spooling failed: "), "{}", said(&output));
    assert!(said(&output).contains("20000 lines were not delivered"), "{}", said(&output));
    assert!(said(&output).contains(" lines are not in the spool, and are lost"));
    let server = place.server().await;
    let next = place.push(&server.grpc_url(), "next", &[], "true").await;
    assert_eq!(next.status.code(), Some(0), "{}", said(&next));
    assert!(!lines(&server, "t").await.is_empty());
    assert_eq!(worker(&server, "t").await, ("FAILED".into(), 4.into()));
}
