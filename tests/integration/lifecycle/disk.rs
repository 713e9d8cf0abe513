//! A disk that is full, hangs, or loses its directory: nothing is lost, and it is told.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use otto_handler::store::faults::FaultyDisk;
use reqwest::StatusCode;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support::{
    Process, Producer, TestServer, ack, connect, entry, get, json, large_lines, numbers, text,
    within,
};

/// A tmpfs, unmounted when it is dropped.
struct SmallVolume(tempfile::TempDir);

impl SmallVolume {
    /// `None`, with a message, where this process may not mount.
    fn mount(options: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir.path()).stderr(Stdio::null());
        if mount.status().is_ok_and(|status| status.success()) {
            return Some(Self(dir));
        }
        println!("skipped: no tmpfs can be mounted, which needs root on Linux");
        None
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }

    fn fill(&self, bytes: usize) {
        File::create(self.filler()).unwrap().write_all(&vec![0; bytes]).unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallVolume {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0.path()).status().ok();
    }
}

/// What readiness answers once it answers with `status`.
async fn readiness(http: &str, status: StatusCode) -> String {
    let url = format!("http://{http}/readyz");
    within("readiness", async {
        loop {
            let answer = get(&url, None).await;
            if answer.status() == status {
                return answer.text().await.unwrap();
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test]
async fn a_full_disk_holds_producers_back_and_goes_on_by_itself_with_nothing_lost_or_doubled() {
    let Some(volume) = SmallVolume::mount("size=24m") else { return };
    volume.fill(8 << 20);
    let server = Process::start(&volume.data(), &["--segment-bytes=1MiB"], None).await;
    let mut producer = Producer::open(&mut connect(&server.grpc_url()).await).await;
    let entries = producer.sender();
    let count = 190;
    let sending = tokio::spawn(async move {
        for line in large_lines(1..count + 1) {
            entries.send(line).await.unwrap();
        }
    });
    let told = readiness(&server.http, StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(told.contains("store_waiting") && told.contains("the disk is full"), "{told}");
    let health = json(&server.api("/health")).await;
    assert_eq!(health["status"], "waiting", "{health}");
    assert!(health["store"]["state"].as_str().unwrap().starts_with("the disk is full"), "{health}");
    let before = numbers(|path| server.api(path)).await;
    assert_eq!(before, (1..=before.len()).collect::<Vec<_>>(), "readers read while it is full");
    assert!(before.len() < count);

    volume.free();
    readiness(&server.http, StatusCode::OK).await;
    for sequence in 1..=count {
        assert_eq!(producer.response().await, ack(sequence as i64));
    }
    within("the sending", sending).await.unwrap();
    assert_eq!(numbers(|path| server.api(path)).await, (1..=count).collect::<Vec<_>>());
    drop(producer);
    assert_eq!(server.terminate().await, Some(0));
}

#[tokio::test]
async fn a_server_started_without_an_inode_for_a_segment_serves_readers_and_waits_for_one() {
    // The root, the data directory, LOCK, META, TASKS, a segment, and the filler.
    let Some(volume) = SmallVolume::mount("size=24m,nr_inodes=7") else { return };
    let server = Process::start(&volume.data(), &["--segment-bytes=1MiB"], None).await;
    volume.fill(1);
    let producer = Producer::open(&mut connect(&server.grpc_url()).await).await;
    for line in large_lines(1..16) {
        producer.send(line).await;
    }
    let told = readiness(&server.http, StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(told.contains("no inode"), "{told}");
    let before = numbers(|path| server.api(path)).await;
    assert!(before.len() >= 10, "{before:?}");
    server.kill().await;

    let server = Process::start(&volume.data(), &["--segment-bytes=1MiB"], None).await;
    let told = readiness(&server.http, StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(told.contains("no inode"), "{told}");
    assert_eq!(numbers(|path| server.api(path)).await, before);
    volume.free();
    readiness(&server.http, StatusCode::OK).await;
    let mut producer = Producer::open(&mut connect(&server.grpc_url()).await).await;
    producer.push_all(1, vec![entry("t", "100 after")]).await;
    assert_eq!(numbers(|path| server.api(path)).await.len(), before.len() + 1);
}

#[tokio::test]
async fn sigterm_while_the_disk_is_full_ends_in_time_and_acknowledges_nothing() {
    let Some(volume) = SmallVolume::mount("size=12m") else { return };
    let server = Process::start(&volume.data(), &["--segment-bytes=1MiB"], None).await;
    let producer = Producer::open(&mut connect(&server.grpc_url()).await).await;
    let entries = producer.sender();
    let sending = tokio::spawn(async move {
        for line in large_lines(1..131) {
            if entries.send(line).await.is_err() {
                return;
            }
        }
    });
    readiness(&server.http, StatusCode::SERVICE_UNAVAILABLE).await;
    let before = numbers(|path| server.api(path)).await;
    let began = Instant::now();
    assert_eq!(server.terminate().await, Some(1));
    assert!(began.elapsed().as_secs() < 20, "it took {:?}", began.elapsed());
    let mut acked = 0;
    let mut responses = producer.responses;
    while let Ok(Some(answer)) = within("an answer", responses.message()).await {
        acked += usize::from(answer == ack(answer.sequence));
    }
    assert!(acked <= before.len(), "{acked} acknowledged, {} kept", before.len());
    sending.abort();
}

#[tokio::test]
async fn a_directory_that_is_removed_under_the_server_is_noticed_and_nothing_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let server = TestServer::start_in(dir, &[], |_| {}).await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    producer.push_all(1, vec![entry("t", "kept")]).await;
    fs::remove_dir_all(server.data()).unwrap();
    let told = readiness(&server.http_addr(), StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(told.contains("META was removed"), "{told}");
    producer.send(entry("t", "not kept")).await;
    within("the stream's end", producer.responses.message()).await.unwrap_err();
}

/// What gRPC health says once it says `status`.
async fn grpc_health(url: &str, status: ServingStatus) {
    let endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
    let mut client = HealthClient::new(endpoint.connect().await.unwrap());
    let request = HealthCheckRequest { service: String::new() };
    let mut watch = client.watch(request).await.unwrap().into_inner();
    within("the health", async {
        while watch.message().await.unwrap().unwrap().status() != status {}
    })
    .await;
}

#[tokio::test]
async fn a_disk_that_hangs_is_told_after_the_stall_timeout_and_that_it_goes_on_too() {
    let disk = FaultyDisk::default();
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--store-stall-timeout=1s"];
    let server =
        TestServer::start_in(dir, &flags, |options| options.disk = Arc::new(disk.clone())).await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    producer.push_all(1, vec![entry("t", "kept")]).await;
    grpc_health(&server.grpc(), ServingStatus::Serving).await;
    disk.hold();
    producer.send(entry("t", "held")).await;
    let told = readiness(&server.http_addr(), StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(told.contains("a commit has waited 1 s for the disk"), "{told}");
    grpc_health(&server.grpc(), ServingStatus::NotServing).await;
    disk.release();
    assert_eq!(producer.response().await, ack(2));
    readiness(&server.http_addr(), StatusCode::OK).await;
    grpc_health(&server.grpc(), ServingStatus::Serving).await;
    assert_eq!(text(|path| server.api(path), "t").await.lines().count(), 2);
}

#[tokio::test]
async fn a_volume_too_small_for_what_is_to_stay_free_or_be_kept_is_told_once_with_both_values() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let refusal = async |flag: &str| {
        let ports = ["--auth=none", "--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0"];
        let data = format!("--data-dir={}", data.display());
        let output = crate::support::run(
            &[&["serve"][..], &ports, &[&data, flag, "--log=error"]].concat(),
            b"",
        )
        .await;
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let told = refusal("--min-free-bytes=1000PiB").await;
    assert_eq!(told.matches("min-free-bytes is 1000.0 PiB, and the whole volume of").count(), 1);
    let told = refusal("--retention-bytes=1000PiB").await;
    assert_eq!(told.matches("retention-bytes is 1000.0 PiB, and the whole volume of").count(), 1);
    assert!(!Path::new(&data).exists(), "something was changed");
}
